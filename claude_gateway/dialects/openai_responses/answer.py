"""One response as it comes into being: events of the job in, events of the wire out, the object at any moment. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from claude_gateway.dialects.openai_responses.output_items import (
    CustomCall,
    FunctionCall,
    Message,
    OutputItem,
    Reasoning,
    SearchCall,
    Status,
    Told,
)
from claude_gateway.dialects.openai_responses.response_object import Identity, failure, response_object, usage_object
from claude_gateway.dialects.openai_responses.tools import Kind, Origin
from claude_gateway.errors import ApiError, cut_short
from claude_gateway.prompt.thoughts import Sealer
from workers.events import (
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Restarted,
    Signed,
    Started,
    TextDelta,
    ThinkingDelta,
)
from workers.job import RedactedThought, Text, Thought, ToolUse, Turn

WireEvent = dict[str, Any]

_INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "pause_turn": "max_output_tokens",
    "refusal": "content_filter",
}
_CALLS: Mapping[Kind, Callable[[str, str, Origin], OutputItem]] = {
    "function": FunctionCall,
    "custom": CustomCall,
    "search": SearchCall,
}


class Answer:
    """Feed it the events of a job; each gives the wire events it became, numbered from 0.

    `repeated` is what the response repeats of its request, `origins` the caller's tools by the names that Claude
    knows, `sealer` None for a caller who wants no thoughts sealed.
    """

    def __init__(
        self,
        identity: Identity,
        repeated: Mapping[str, Any],
        origins: Mapping[str, Origin],
        sealer: Sealer | None = None,
    ) -> None:
        self._identity = identity
        self._repeated = repeated
        self._origins = origins
        self._sealer = sealer
        self._number = 0
        self._state: dict[str, Any] = {"status": ""}
        self._items: list[OutputItem] = []
        self._output: list[dict[str, Any]] = []
        self.is_whole = False

    @property
    def response(self) -> dict[str, Any]:
        """The response object as it stands, with the items that are whole."""
        return response_object(self._identity, self._repeated, output=list(self._output), **self._state)

    def reply(self) -> Turn | None:
        """The assistant's turn that a later request goes on from; a thought that led to nothing is no part of it."""
        blocks = [block for item in self._items if (block := item.block()) is not None]
        while blocks and isinstance(blocks[-1], Thought | RedactedThought):
            blocks.pop()
        return Turn("assistant", tuple(blocks)) if blocks else None

    def thoughts(self) -> dict[str, Thought | RedactedThought]:
        """By the ids of their items; those without a signature are none that the model takes back."""
        blocks = {item["id"]: one.block() for item, one in zip(self._output, self._items, strict=False)}
        return {id_: block for id_, block in blocks.items() if isinstance(block, Thought | RedactedThought)}

    def queue(self) -> list[WireEvent]:
        """The response waits its turn; only before the first event."""
        self._state["status"] = "queued"
        return [self._whole("response.created"), self._whole("response.queued")]

    def feed(self, event: Event) -> list[WireEvent]:
        """Raises `ApiError` at `Restarted`: what was sent cannot be taken back."""
        return list(self._feed(event))

    def fail(self, error: ApiError) -> list[WireEvent]:
        """How it ends when it cannot be finished: what is open is closed, then the error, twice: some clients look
        for the one event, some for the other."""
        if self.is_whole:
            self._number -= 1  # of the end, which then was never sent
            self.is_whole = False
        told = [*self._start(), *self._close("incomplete")]
        said = failure(error)
        told.append(self._event("error", {**said, "param": error.param}))
        self._state |= {"status": "failed", "error": said}
        return [*told, self._whole("response.failed")]

    def cancel(self) -> list[WireEvent]:
        """The caller himself ended it, before it was whole. The dialect has no event of that name."""
        told = [*self._start(), *self._close("incomplete")]
        self._state["status"] = "cancelled"
        return [*told, self._whole("response.failed")]

    def _feed(self, event: Event) -> Iterator[WireEvent]:
        match event:
            case Started():
                yield from self._start()
            case BlockStarted(block):
                yield from self._start()
                yield from self._close("completed")
                yield from self._open(block)
            case TextDelta(text) | ThinkingDelta(text) | InputDelta(text) if text:
                yield from self._of_item(self._items[-1].say(text))
            case Signed(signature):
                item = self._items[-1]
                assert isinstance(item, Reasoning)
                item.sign(signature)
            case Finished():
                yield from self._start()
                yield from self._finish(event)
            case Restarted():
                raise cut_short()

    def _start(self) -> Iterator[WireEvent]:
        if self._state["status"] not in ("", "queued"):
            return
        is_new = not self._state["status"]
        self._state["status"] = "in_progress"
        if is_new:
            yield self._whole("response.created")
        yield self._whole("response.in_progress")

    def _open(self, block: Text | Thought | RedactedThought | ToolUse) -> Iterator[WireEvent]:
        item = self._item(block)
        self._items.append(item)
        yield self._event("response.output_item.added", self._place() | {"item": self._shown("in_progress")})
        yield from self._of_item(item.begin())

    def _item(self, block: Text | Thought | RedactedThought | ToolUse) -> OutputItem:
        match block:
            case Text():
                return Message()
            case Thought() | RedactedThought():
                return Reasoning(block, self._sealer)
            case ToolUse(id_, name):
                origin = self._origins.get(name) or Origin("function", name)
                return _CALLS[origin.kind](id_, name, origin)

    def _close(self, status: Status) -> Iterator[WireEvent]:
        """The item that is open, if one is. An item whose block has ended stays open until the next event: only then
        it is known whether the answer was cut off behind it."""
        if len(self._output) == len(self._items):
            return
        yield from self._of_item(self._items[-1].end())
        shown = self._shown(status)
        yield self._event("response.output_item.done", self._place() | {"item": shown})
        self._output.append(shown)

    def _finish(self, event: Finished) -> Iterator[WireEvent]:
        reason = _INCOMPLETE.get(event.stop_reason)
        status: Status = "incomplete" if reason else "completed"
        yield from self._close(status)
        details = {"reason": reason} if reason else None
        self._state |= {"status": status, "incomplete_details": details, "usage": usage_object(event.usage)}
        self.is_whole = True
        yield self._whole(f"response.{status}")

    def _of_item(self, told: Iterable[Told]) -> Iterator[WireEvent]:
        place = {"item_id": self._item_id(), **self._place()}
        for kind, fields in told:
            yield self._event(kind, place | fields)

    def _place(self) -> dict[str, Any]:
        return {"output_index": len(self._items) - 1}

    def _item_id(self) -> str:
        """It names its response too, so that a reference to it can be found."""
        return f"{self._items[-1].prefix}_{self._identity.id.removeprefix('resp_')}_{len(self._items) - 1}"

    def _shown(self, status: Status) -> dict[str, Any]:
        return {"id": self._item_id(), **self._items[-1].shown(status)}

    def _whole(self, kind: str) -> WireEvent:
        return self._event(kind, {"response": self.response})

    def _event(self, kind: str, fields: Mapping[str, Any]) -> WireEvent:
        number = self._number
        self._number += 1
        return {"type": kind, "sequence_number": number, **fields}
