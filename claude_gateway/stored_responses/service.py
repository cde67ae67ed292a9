"""Load the conversation that a request continues, store new responses, and load stored responses for clients."""

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from claude_gateway.auth.signing import HmacSigner
from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.dialects.common.content.signed_thinking import sign_thinking
from claude_gateway.dialects.openai_responses.input_items import (
    EMPTY_RESPONSE_HISTORY,
    ConversationMessages,
    InputItem,
    ResponseHistory,
)
from claude_gateway.dialects.openai_responses.parse import ParsedResponsesRequest
from claude_gateway.dialects.openai_responses.response_builder import ResponseBuilder, ResponseEvent
from claude_gateway.dialects.openai_responses.stored_items import locate_item, to_stored_items
from claude_gateway.sessions.loaded_memory import NO_RESERVATION, LoadedMemory, MemoryReservation
from claude_gateway.storage.row_reader import READ_ERRORS, log_unreadable, require_text
from claude_gateway.stored_responses.response_store import (
    UNFINISHED_STATUSES,
    ChainLink,
    ChainTooLarge,
    ResponsePart,
    ResponseStore,
    StoredResponse,
)
from claude_gateway.usage.record import RequestContext
from workers.core.events import EventStream
from workers.core.job_size import estimate_turns_bytes
from workers.host.large_job_threads import run_for_job, run_for_size

T = TypeVar("T")
# Limits on the number and size of the stored responses to whose items one request may refer. The gateway reads each of
# these responses completely.
_MAX_REFERENCED_RESPONSES = 1_000
_MAX_REFERENCED_BYTES = 64 * 2**20
_ANSWERED_STATUSES = ("completed", "incomplete")
# Field of a stored response object that contains signed thinking blocks. The gateway removes the field before a client
# receives the object.
_THINKING_FIELD = "thoughts"
_GATEWAY_STOPPED_ERROR = {
    "code": "server_error",
    "message": "The gateway was stopped while it generated this response.",
}


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class ConversationContext:
    """The conversation that a request continues, and the stored items that the request refers to.

    Attributes:
        history: The conversation and the items, in the form that the request parser of the dialect reads.
        chain: The messages of the conversation. Each `ChainLink` contains the messages that one stored response added.
        parent_id: Id of the response that the request continues; None if the conversation is new.
        reservation: Memory that the gateway has reserved for the loaded data.
    """

    history: ResponseHistory = EMPTY_RESPONSE_HISTORY
    chain: tuple[ChainLink, ...] = ()
    parent_id: str | None = None
    reservation: MemoryReservation = NO_RESERVATION

    def release(self) -> None:
        """Release the memory that the gateway has reserved for the loaded data. A second call has no effect."""
        self.reservation.release()


@dataclass(frozen=True, slots=True)
class PendingResponse:
    """A request for which the gateway is generating the response.

    Attributes:
        key_id: Id of the key that sent the request.
        parsed: The parsed request.
        context: The conversation that the request continues.
        request_context: Data about the request for the usage records.
    """

    key_id: str
    parsed: ParsedResponsesRequest
    context: ConversationContext
    request_context: RequestContext | None = None


class ResponseService:
    """Loads, stores and deletes the stored responses of all keys.

    Args:
        store: Storage of the responses.
        signing_key: Secret with which the gateway signs thinking blocks. Clients store signed blocks and send them
            back.
        now: Function that returns the current time, in seconds since the epoch.
        loaded_memory: Limit on the memory that loaded responses use.
    """

    def __init__(
        self,
        store: ResponseStore,
        signing_key: bytes,
        now: Callable[[], float] = time.time,
        loaded_memory: LoadedMemory | None = None,
    ) -> None:
        self._store = store
        self._loaded_memory = loaded_memory or LoadedMemory()
        self._signing_key = signing_key
        self._now = now

    def create_signer(self, key_id: str) -> HmacSigner:
        """Create the object that signs and verifies thinking blocks for a key."""
        return HmacSigner(self._signing_key, key_id)

    async def load_context(self, key_id: str, previous_id: str | None, item_ids: Sequence[str]) -> ConversationContext:
        """Load the conversation that a request continues, and the stored items that the request refers to.

        The method reserves memory for the loaded data. The memory stays reserved until the calling code calls `release`
        of the result, or until the result is garbage-collected.

        Args:
            key_id: Id of the key that sent the request.
            previous_id: Id of the response that the request continues; None if the conversation is new.
            item_ids: Ids of the stored items that the request refers to.

        Raises:
            ApiError: The previous response does not exist, belongs to another key, or has no reply (status 400); or too
                little memory is free (status 503).
        """
        reservation = await self._loaded_memory.reserve(
            key_id, await self._read_context_size(key_id, previous_id, item_ids)
        )
        try:
            chain = await self._load_chain(key_id, previous_id) if previous_id else ()
            messages = ConversationMessages(
                tuple(text for link in chain for text in link.system),
                tuple(turn for link in chain for turn in link.turns),
            )
            items, items_bytes = await self._load_referenced_items(key_id, item_ids)
            history = ResponseHistory(messages, items, items_bytes + estimate_turns_bytes(messages.messages))
            context = ConversationContext(history, chain, previous_id or None, reservation)
        except BaseException:
            reservation.release()
            raise
        # If the request ends without a call of `release`, this releases the memory when the garbage collector frees the
        # context.
        weakref.finalize(context, _release_in_loop, asyncio.get_running_loop(), reservation).atexit = False
        return context

    async def store_response(self, pending: PendingResponse, builder: ResponseBuilder) -> None:
        """Store a request and the response to it, and wait until the database has committed both."""
        stored = await run_for_job(pending.parsed.job, self._build_stored_response, pending, builder)
        await self._store.add(
            pending.key_id,
            stored,
            _build_chain_link(pending, builder),
            pending.context.parent_id,
            pending.context.chain,
            self._now(),
        )

    async def finish_response(self, pending: PendingResponse, builder: ResponseBuilder, events: bytes) -> None:
        """Store the result of a background response. Until now, the database contains only the queued response.

        Args:
            pending: Request that the response answers.
            builder: Builder of the response. The response must have ended.
            events: Log of the response's events, as bytes that `EventLog.pack` has returned.
        """
        response = builder.response
        is_answered = response["status"] in _ANSWERED_STATUSES
        await self._store.finish(
            pending.key_id,
            StoredResponse(response["id"], response["status"], self._encode_object(pending, builder), b"", events),
            builder.to_turn() if is_answered else None,
        )

    async def fail_unfinished(self) -> int:
        """Mark responses that an earlier gateway process left unfinished as failed.

        The method also deletes the rows that the earlier process had begun to delete.

        Returns:
            Number of responses that the method has marked as failed.
        """
        unfinished = await self._store.list_unfinished()
        for key_id, stored in unfinished:
            try:
                failed = {**orjson.loads(stored.object), "status": "failed", "error": _GATEWAY_STOPPED_ERROR}
            except READ_ERRORS as error:
                log_unreadable(f"the response {stored.id!r:.80}", error)
                await self._store.mark_failed(stored.id)
                continue
            await self._store.finish(key_id, replace(stored, status="failed", object=orjson.dumps(failed)), None)
        await self._store.delete_unreferenced()
        return len(unfinished)

    async def persist_stream(
        self, pending: PendingResponse, builder: ResponseBuilder, batches: EventStream
    ) -> AsyncGenerator[Sequence[ResponseEvent], None]:
        """Yield the events of a streamed response, and store the response before yielding the last event.

        The method does not store the response if it fails, if the client disconnects, or if the client has disabled
        storing in the request.
        """
        async with aclosing(batches):
            async for batch in batches:
                response_events = [response_event for event in batch for response_event in builder.feed(event)]
                if builder.is_complete and pending.parsed.store:
                    yield response_events[:-1]
                    await self.store_response(pending, builder)
                    response_events = response_events[-1:]
                yield response_events

    @asynccontextmanager
    async def reserve_memory(self, key_id: str, id_: str) -> AsyncIterator[None]:
        """Reserve memory for a stored response while the `with` block loads the response.

        Raises:
            ApiError: Too little memory is free (status 503).
        """
        reservation = await self._loaded_memory.reserve(key_id, await self._store.get_size(key_id, [id_]))
        try:
            yield
        finally:
            reservation.release()

    async def get_response(self, key_id: str, id_: str) -> dict[str, Any]:
        """Return the response object of a stored response.

        Raises:
            ApiError: The response does not exist or belongs to another key (status 404).
        """
        return await self._parse_stored(
            id_, await self._load_part(key_id, id_, "object"), _parse_object_without_thinking
        )

    async def list_input_items(self, key_id: str, id_: str) -> list[dict[str, Any]]:
        """Return the input items in the request that a stored response answers, in the order of the request.

        Raises:
            ApiError: The key has no such response (status 404).
        """
        return await self._parse_stored(id_, await self._load_part(key_id, id_, "items"), _parse_items)

    async def require_exists(self, key_id: str, id_: str) -> None:
        """Check that the key has a stored response with the id `id_`.

        Raises:
            ApiError: The key has no such response (status 404).
        """
        if not await self._store.exists(key_id, id_, self._now()):
            raise _response_not_found(id_)

    async def load_packed_log(self, key_id: str, id_: str) -> bytes | None:
        """Return the event log of a background response, as bytes that `EventLog.unpack` can read.

        Returns:
            The bytes; None if the response is not a background response, or if it failed because the gateway process
            exited.

        Raises:
            ApiError: The key has no such response (status 404).
        """
        await self.require_exists(key_id, id_)
        return await self._store.get_part(key_id, id_, "events", self._now())

    async def delete_response(self, key_id: str, id_: str) -> None:
        """Delete a stored response.

        Raises:
            ApiError: The key has no such response (status 404).
        """
        if not await self._store.delete(key_id, id_, self._now()):
            raise _response_not_found(id_)

    async def _parse_stored(self, id_: str, stored: bytes, parse: Callable[[bytes], T]) -> T:
        """Convert a part of a stored response with the function `parse`.

        Raises:
            ApiError: The part is damaged (status 500).
        """
        try:
            return await run_for_size(len(stored), parse, stored)
        except READ_ERRORS as error:
            raise damaged_response_error(id_, error) from None

    async def _load_part(self, key_id: str, id_: str, part: ResponsePart) -> bytes:
        stored = await self._store.get_part(key_id, id_, part, self._now())
        if stored is None:
            raise _response_not_found(id_)
        return stored

    def _build_stored_response(self, pending: PendingResponse, builder: ResponseBuilder) -> StoredResponse:
        id_: str = builder.response["id"]
        return StoredResponse(
            id_, builder.response["status"], self._encode_object(pending, builder), _encode_items(pending, id_)
        )

    def _encode_object(self, pending: PendingResponse, builder: ResponseBuilder) -> bytes:
        """Encode the response object as JSON, together with its signed thinking blocks.

        If a later request refers to items in the response, the gateway needs the thinking blocks. So it stores the
        blocks even if the client did not request them.
        """
        signer = self.create_signer(pending.key_id)
        hidden_blocks = {} if pending.parsed.include_encrypted_reasoning else builder.get_thinking_blocks()
        thinking = {id_: sign_thinking([block], signer) for id_, block in hidden_blocks.items()}
        return orjson.dumps(builder.response | ({_THINKING_FIELD: thinking} if thinking else {}))

    async def _read_context_size(self, key_id: str, previous_id: str | None, item_ids: Sequence[str]) -> int:
        """Return the number of stored bytes that the gateway has to load for a request.

        Raises:
            ApiError: The conversation is too large (status 400).
        """
        size = 0
        if item_ids:
            ids = [id_ for id_, _ in list(dict.fromkeys(map(locate_item, item_ids)))[:_MAX_REFERENCED_RESPONSES]]
            size = min(_MAX_REFERENCED_BYTES, await self._store.get_size(key_id, ids))
        try:
            return size + (await self._store.get_chain_size(key_id, previous_id, self._now()) if previous_id else 0)
        except ChainTooLarge:
            raise _previous_response_error(
                previous_id or "", "ends a conversation that is too large to continue"
            ) from None

    async def _load_chain(self, key_id: str, previous_id: str) -> tuple[ChainLink, ...]:
        stored = await self._store.get_chain(key_id, previous_id, self._now())
        status = stored[0] if stored else None
        if status in UNFINISHED_STATUSES:
            raise _previous_response_error(previous_id, "has not been answered yet")
        if stored is None:
            raise _previous_response_error(previous_id, "is not stored here")
        if status not in _ANSWERED_STATUSES:
            raise _previous_response_error(previous_id, f"is {status} and has no reply to continue")
        return tuple(stored[1])

    async def _load_referenced_items(self, key_id: str, item_ids: Sequence[str]) -> tuple[dict[str, InputItem], int]:
        """Load the stored items that a request refers to.

        Returns:
            A mapping from id to item for the items that the database contains, and the number of bytes that were read.
        """
        requested_ids = set(item_ids)
        sources = list(dict.fromkeys(map(locate_item, item_ids)))
        items: dict[str, InputItem] = {}
        read_bytes = 0
        for id_, part in sources[:_MAX_REFERENCED_RESPONSES]:
            stored = await self._store.get_part(key_id, id_, part, self._now())
            if stored is None:
                continue
            if (read_bytes := read_bytes + len(stored)) > _MAX_REFERENCED_BYTES:
                raise bad_request("input", f"refers to more than {_MAX_REFERENCED_BYTES} bytes of stored responses")
            stored_items: Sequence[InputItem] = await self._parse_stored(
                id_, stored, _parse_output_with_thinking if part == "object" else _parse_items
            )
            items |= {item["id"]: item for item in stored_items if item["id"] in requested_ids}
        return items, read_bytes


def _release_in_loop(loop: asyncio.AbstractEventLoop, reservation: MemoryReservation) -> None:
    """Release reserved memory on the event loop, because the garbage collector may call this function in any thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(reservation.release)


def _build_chain_link(pending: PendingResponse, builder: ResponseBuilder) -> ChainLink:
    """Return the messages that a request and the reply to it add to the conversation."""
    reply = builder.to_turn()
    return ChainLink(
        pending.parsed.input_messages.system, (*pending.parsed.input_messages.messages, *([reply] if reply else ()))
    )


def _parse_object_without_thinking(stored: bytes) -> dict[str, Any]:
    response: dict[str, Any] = orjson.loads(stored)
    response.pop(_THINKING_FIELD, None)
    return response


def _parse_output_with_thinking(stored: bytes) -> list[InputItem]:
    """Return the output items in a stored response object, with the signed thinking in `encrypted_content`."""
    response = orjson.loads(stored)
    thinking = response.get(_THINKING_FIELD, {})
    return [
        {**item, "encrypted_content": thinking[item["id"]]} if item["id"] in thinking else item
        for item in response["output"]
    ]


def _parse_items(stored: bytes) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = orjson.loads(stored)
    for item in items:
        require_text(item["id"])
    return items


def damaged_response_error(id_: str, error: Exception) -> ApiError:
    """Log that a stored response is damaged, and return the error that the client receives."""
    log_unreadable(f"the response {id_!r:.80}", error)
    message = f"The stored response {id_[:80]!r} is damaged and cannot be read. It can be deleted."
    return ApiError(500, "api_error", message, code="stored_response_corrupted", param="response_id")


def _response_not_found(id_: str) -> ApiError:
    return ApiError(
        404,
        "not_found_error",
        f"The stored response {id_[:80]!r} does not exist.",
        code="response_not_found",
        param="response_id",
    )


def _previous_response_error(id_: str, reason: str) -> ApiError:
    message = f"previous_response_id: the response {id_[:80]!r} {reason}"
    return ApiError(400, "validation_error", message, code="previous_response_not_found", param="previous_response_id")


def _encode_items(pending: PendingResponse, response_id: str) -> bytes:
    return orjson.dumps(to_stored_items(pending.parsed.items, response_id))
