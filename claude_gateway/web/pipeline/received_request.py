"""Class for a request whose whole body has arrived. It parses the body.

The gateway parses small requests in the event loop, and large ones in another process.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from claude_gateway.dialects.common.content.conversation import SessionHistory
from claude_gateway.dialects.openai_responses.input_items import ResponseHistory
from claude_gateway.request_reading.formats import RequestFormat
from claude_gateway.request_reading.json_body import RequestBody
from claude_gateway.request_reading.tasks import (
    ChooseSchema,
    KeepFields,
    ReplyId,
    parse_job,
    parse_request,
    parse_request_head,
)
from claude_gateway.web.context.client_request import ClientRequest
from claude_gateway.web.context.state import API_KEY, REQUEST_CONTEXT, STATE
from workers.core.job import Turn

T = TypeVar("T")


class ReceivedRequest:
    """A request whose whole body has arrived.

    Args:
        request: The request. Its body may take minutes to arrive. Therefore the gateway has checked the key again
            after the arrival.
        body: The body.
        choose_schema: Returns the schema for the body.
        keep_fields: Returns the long fields that the gateway needs before it parses the whole request; None if it needs
            none.
    """

    def __init__(
        self,
        request: web.Request,
        body: RequestBody,
        choose_schema: ChooseSchema[Any],
        keep_fields: KeepFields[Any] | None = None,
    ) -> None:
        self.client = ClientRequest(
            request.app[STATE], request[API_KEY], request[REQUEST_CONTEXT], request.headers, request.query
        )
        self._offload = self.client.state.offload
        self._key_id = self.client.key.id
        self._body = body
        self._choose_schema = choose_schema
        self._keep_fields = keep_fields
        is_small = len(body.raw) <= self._offload.limits.max_inline_bytes
        self._is_small = is_small and self._offload.has_inline_time(self._key_id)
        # This attribute holds a small request after its validation, so that the gateway validates it only once.
        self._validated_request: Any = None

    async def read_head(self) -> Any:
        """Return the validated request. If the request is large, the result has only its short fields.

        Raises:
            ApiError: The body is invalid.
        """
        if not self._is_small:
            return await self._offload.run(
                self._key_id, parse_request_head, self._body, self._choose_schema, self._keep_fields
            )
        if self._validated_request is None:
            self._validated_request = self._offload.run_inline(
                self._key_id, parse_request, self._body, self._choose_schema
            )
        return self._validated_request

    async def parse(self, request_format: RequestFormat, model: str, *history: Any) -> Any:
        """Parse the request with the parser of a format.

        Args:
            request_format: The format.
            model: The model for the job.
            history: The history of the conversation, if there is one.

        Returns:
            The result of the parser.

        Raises:
            ApiError: The dialect refuses the request.
        """
        signer = (self.client.create_signer(),) if request_format.takes_signer else ()
        arguments = (self._key_id, model, *signer, *history)
        if self._is_small and all(map(self._is_small_argument, history)):
            head = await self.read_head()
            return self._offload.run_inline(self._key_id, request_format.parse, head, *arguments)
        portable = tuple(_without_local_state(argument) for argument in arguments)
        result, missing = await self._parse_in_process(request_format, portable, {})
        session_history = next((argument for argument in history if isinstance(argument, SessionHistory)), None)
        if missing and session_history is not None and (replies := _find_replies(session_history, missing)):
            # This is rare: the client has sent a tool call back without the thinking that belongs to it.
            result, _ = await self._parse_in_process(request_format, portable, replies)
        return result

    async def run(self, function: Callable[..., T], *arguments: Any, is_small: bool = True) -> T:
        """Call a function with the body, `choose_schema` and further arguments.

        If the body or another argument is large, call the function in another process.

        Args:
            function: The function.
            arguments: The arguments of the function after the first two.
            is_small: Whether the further arguments are small.
        """
        if self._is_small and is_small:
            return self._offload.run_inline(self._key_id, function, self._body, self._choose_schema, *arguments)
        return await self._offload.run(self._key_id, function, self._body, self._choose_schema, *arguments)

    def _is_small_argument(self, argument: Any) -> bool:
        """Return False if an argument is a long history, otherwise True."""
        return (
            not isinstance(argument, SessionHistory | ResponseHistory)
            or argument.size_bytes <= self._offload.limits.max_inline_bytes
        )

    async def _parse_in_process(
        self, request_format: RequestFormat, arguments: tuple[Any, ...], known_replies: dict[ReplyId, Turn]
    ) -> tuple[Any, list[ReplyId]]:
        return await self._offload.run(
            self._key_id, parse_job, self._body, self._choose_schema, request_format.parse, arguments, known_replies
        )


def _without_local_state(argument: Any) -> Any:
    """Return an argument in a form that the gateway can send to another process.

    The result lacks the data that exists only in this process.
    """
    if isinstance(argument, SessionHistory):
        return SessionHistory(argument.system, argument.turns)
    return argument


def _find_replies(history: SessionHistory, reply_ids: list[ReplyId]) -> dict[ReplyId, Turn]:
    replies = {reply_id: history.find_reply(*reply_id) for reply_id in reply_ids}
    return {reply_id: reply for reply_id, reply in replies.items() if reply is not None}
