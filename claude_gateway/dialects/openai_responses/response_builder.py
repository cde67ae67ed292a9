"""Convert the events of a job to response events, and update the response object with each event. No I/O.

Response events are the events that the Responses API defines for streams.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, assert_never

from claude_gateway.core.errors import ApiError, stream_interrupted
from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner
from claude_gateway.dialects.openai_responses.errors import response_error_object
from claude_gateway.dialects.openai_responses.output_items import (
    CustomToolCallItemBuilder,
    FunctionCallItemBuilder,
    MessageItemBuilder,
    OutputItemBuilder,
    OutputItemStatus,
    PartialEvent,
    ReasoningItemBuilder,
    ToolSearchCallItemBuilder,
)
from claude_gateway.dialects.openai_responses.response_object import (
    ResponseIdentity,
    response_object,
    usage_object,
)
from claude_gateway.dialects.openai_responses.tools import ClientTool, ClientToolKind
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.core.job import RedactedThinkingBlock, Text, ThinkingBlock, ToolUse, Turn

ResponseEvent = dict[str, Any]

_INCOMPLETE_REASONS = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "pause_turn": "max_output_tokens",
    "refusal": "content_filter",
}
_CALL_ITEM_BUILDERS: Mapping[ClientToolKind, Callable[[str, str, ClientTool], OutputItemBuilder]] = {
    "function": FunctionCallItemBuilder,
    "custom": CustomToolCallItemBuilder,
    "search": ToolSearchCallItemBuilder,
}


class ResponseBuilder:
    """Converts the events of a job to response events, and numbers the response events from 0.

    Args:
        identity: The id, the creation time and the model of the response.
        echo: Fields of the request that the response repeats.
        client_tools: Maps the function names that Claude sees to the tools of the client.
        signer: Signs the thinking for the field `encrypted_content`; None if the client did not request this field.

    Attributes:
        is_complete: Whether the job has finished.
    """

    def __init__(
        self,
        identity: ResponseIdentity,
        echo: Mapping[str, Any],
        client_tools: Mapping[str, ClientTool],
        signer: ThinkingSigner | None = None,
    ) -> None:
        self._identity = identity
        self._echo = echo
        self._client_tools = client_tools
        self._signer = signer
        self._sequence_number = 0
        self._state: dict[str, Any] = {"status": ""}
        self._items: list[OutputItemBuilder] = []
        self._output: list[dict[str, Any]] = []
        self.is_complete = False

    @property
    def response(self) -> dict[str, Any]:
        """The current response object, with the output items that are complete."""
        return response_object(self._identity, self._echo, output=list(self._output), **self._state)

    def to_turn(self) -> Turn | None:
        """Return the assistant turn that the gateway stores for later requests, or None if there is no content.

        The turn does not contain the thinking at the end of the reply.
        """
        blocks = [block for item in self._items if (block := item.to_block()) is not None]
        while blocks and isinstance(blocks[-1], ThinkingBlock | RedactedThinkingBlock):
            blocks.pop()
        return Turn("assistant", tuple(blocks)) if blocks else None

    def get_thinking_blocks(self) -> dict[str, ThinkingBlock | RedactedThinkingBlock]:
        """Map the id of each reasoning item to the thinking block of the item. Omit blocks without a signature."""
        blocks = {item["id"]: builder.to_block() for item, builder in zip(self._output, self._items, strict=False)}
        return {id_: block for id_, block in blocks.items() if isinstance(block, ThinkingBlock | RedactedThinkingBlock)}

    def mark_queued(self) -> list[ResponseEvent]:
        """Set the status of the response to `queued`, and return the response events that report this status.

        Call this method only before the first event of the job.
        """
        self._state["status"] = "queued"
        return [self._build_response_event("response.created"), self._build_response_event("response.queued")]

    def feed(self, event: Event) -> list[ResponseEvent]:
        """Return the response events for one event of the job.

        Raises:
            ApiError: If the event is `StreamReset`. The reply starts again, but the client has already received events.
        """
        return list(self._feed(event))

    def fail(self, error: ApiError) -> list[ResponseEvent]:
        """Mark the response as failed, and return its last response events.

        If an output item is open, the method ends the item first. Two response events contain the error, because some
        clients read the event `error` and others read the event `response.failed`.
        """
        if self.is_complete:
            self._sequence_number -= 1  # use the last number again, because the client has not received its event
            self.is_complete = False
        events = [*self._start(), *self._close_item("incomplete")]
        error_object = response_error_object(error)
        events.append(self._build_event("error", {**error_object, "param": error.param}))
        self._state |= {"status": "failed", "error": error_object}
        return [*events, self._build_response_event("response.failed")]

    def cancel(self) -> list[ResponseEvent]:
        """Mark the response as cancelled by the client, and return its last response events.

        The last response event is `response.failed`, because the API defines no event for cancelled responses.
        """
        events = [*self._start(), *self._close_item("incomplete")]
        self._state["status"] = "cancelled"
        return [*events, self._build_response_event("response.failed")]

    def _feed(self, event: Event) -> Iterator[ResponseEvent]:
        match event:
            case Started():
                yield from self._start()
            case BlockStarted(block):
                yield from self._start()
                yield from self._close_item("completed")
                yield from self._open_item(block)
            case TextDelta(text) | ThinkingDelta(text) | ToolInputDelta(text) if text:
                yield from self._build_item_events(self._items[-1].add_delta(text))
            case SignatureDelta(signature):
                item = self._items[-1]
                assert isinstance(item, ReasoningItemBuilder)
                item.add_signature(signature)
            case Finished():
                yield from self._start()
                yield from self._finish(event)
            case StreamReset():
                raise stream_interrupted()
            case BlockEnded() | TextDelta() | ThinkingDelta() | ToolInputDelta():
                pass  # an empty delta, or the end of a block: the item stays open until the next event
            case ToolCallStarted() | ToolCallFinished():
                pass  # this dialect does not show the calls of built-in tools
            case _:
                assert_never(event)

    def _start(self) -> Iterator[ResponseEvent]:
        if self._state["status"] not in ("", "queued"):
            return
        is_new = not self._state["status"]
        self._state["status"] = "in_progress"
        if is_new:
            yield self._build_response_event("response.created")
        yield self._build_response_event("response.in_progress")

    def _open_item(self, block: Text | ThinkingBlock | RedactedThinkingBlock | ToolUse) -> Iterator[ResponseEvent]:
        item = self._create_item(block)
        self._items.append(item)
        yield self._build_event(
            "response.output_item.added", self._get_item_position() | {"item": self._item_object("in_progress")}
        )
        yield from self._build_item_events(item.start())

    def _create_item(self, block: Text | ThinkingBlock | RedactedThinkingBlock | ToolUse) -> OutputItemBuilder:
        match block:
            case Text():
                return MessageItemBuilder()
            case ThinkingBlock() | RedactedThinkingBlock():
                return ReasoningItemBuilder(block, self._signer)
            case ToolUse(id_, name):
                client_tool = self._client_tools.get(name) or ClientTool("function", name)
                return _CALL_ITEM_BUILDERS[client_tool.kind](id_, name, client_tool)

    def _close_item(self, status: OutputItemStatus) -> Iterator[ResponseEvent]:
        """End the open output item, if there is one.

        An item stays open after the model has ended its block, until the next event of the job. Only this next event
        shows whether the item is complete or truncated.
        """
        if len(self._output) == len(self._items):
            return
        yield from self._build_item_events(self._items[-1].end())
        item = self._item_object(status)
        yield self._build_event("response.output_item.done", self._get_item_position() | {"item": item})
        self._output.append(item)

    def _finish(self, event: Finished) -> Iterator[ResponseEvent]:
        reason = _INCOMPLETE_REASONS.get(event.stop_reason)
        status: OutputItemStatus = "incomplete" if reason else "completed"
        yield from self._close_item(status)
        details = {"reason": reason} if reason else None
        self._state |= {"status": status, "incomplete_details": details, "usage": usage_object(event.usage)}
        self.is_complete = True
        yield self._build_response_event(f"response.{status}")

    def _build_item_events(self, events: Iterable[PartialEvent]) -> Iterator[ResponseEvent]:
        position = {"item_id": self._get_item_id(), **self._get_item_position()}
        for kind, fields in events:
            yield self._build_event(kind, position | fields)

    def _get_item_position(self) -> dict[str, Any]:
        return {"output_index": len(self._items) - 1}

    def _get_item_id(self) -> str:
        """Return the id of the newest output item.

        The item id contains the response id, so that the gateway finds the stored response for a reference to the item.
        """
        return f"{self._items[-1].id_prefix}_{self._identity.id.removeprefix('resp_')}_{len(self._items) - 1}"

    def _item_object(self, status: OutputItemStatus) -> dict[str, Any]:
        return {"id": self._get_item_id(), **self._items[-1].to_json(status)}

    def _build_response_event(self, kind: str) -> ResponseEvent:
        return self._build_event(kind, {"response": self.response})

    def _build_event(self, kind: str, fields: Mapping[str, Any]) -> ResponseEvent:
        number = self._sequence_number
        self._sequence_number += 1
        return {"type": kind, "sequence_number": number, **fields}
