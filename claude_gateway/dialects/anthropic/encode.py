"""Events to a Messages answer: the events of a stream, or their sum as one body. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from claude_gateway.dialects.anthropic.own_calls import OwnCalls
from claude_gateway.errors import ApiError, cut_short
from workers.call_arguments import as_written
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Restarted,
    Signed,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolEnded,
    Usage,
)
from workers.job import RedactedThought, Text, Thought, ToolUse

Sent = tuple[str, str]
# A block whose words come one by one, or one that comes whole.
_Block = Text | Thought | RedactedThought | ToolUse | dict[str, Any]
_TYPES: Mapping[str, str] = {
    "validation_error": "invalid_request_error",
    "rate_limit_exceeded": "rate_limit_error",
    "streaming_error": "api_error",
}
_OVERLOADED = 529


class StreamEncoder:
    """Feed it the events of a job; each gives the server-sent events to send: name and data, in order."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._begun = False
        self._index = 0
        self._open = False
        self._own = OwnCalls()

    def feed(self, event: Event) -> list[Sent]:
        """Raises `ApiError` at `Restarted`: what was sent cannot be taken back."""
        sent = self._sent(event)
        for block in self._own.feed(event):
            sent += self._all_at_once(block)
        return sent

    def _sent(self, event: Event) -> list[Sent]:
        match event:
            case Started():
                # Programs put messages of one id together, so they get the ids that the upstream gives.
                self._id = event.id or self._id
                return self._start(event.usage)
            case BlockStarted(block):
                self._open = True
                return [self._block("content_block_start", content_block=_empty(block))]
            case TextDelta(text):
                return [self._delta(type="text_delta", text=text)]
            case ThinkingDelta(text):
                return [self._delta(type="thinking_delta", thinking=text)]
            case InputDelta(text):
                return [self._delta(type="input_json_delta", partial_json=text)]
            case Signed(signature):
                return [self._delta(type="signature_delta", signature=signature)]
            case BlockEnded():
                return self._close()
            case ToolBegan() | ToolEnded():
                return []
            case Finished():
                end = {"stop_reason": event.stop_reason, "stop_sequence": event.stop_sequence}
                return [
                    *self._start(event.usage),
                    *self._close(),
                    _event("message_delta", delta=end, usage=usage_object(event.usage) | self._own.usage),
                    _event("message_stop"),
                ]
            case Restarted():
                raise cut_short()

    def fail(self, error: ApiError) -> list[Sent]:
        """How a stream ends that cannot be finished: what is open is closed, then the error."""
        return [*self._close(), ("error", _dumps(error_object(error)))]

    def _start(self, usage: Usage) -> list[Sent]:
        if self._begun:
            return []
        self._begun = True
        message = _message(self._id, self._model, [], usage_object(usage))
        message |= {"stop_reason": None, "stop_sequence": None}
        return [_event("message_start", message=message), _event("ping")]

    def _all_at_once(self, block: dict[str, Any]) -> list[Sent]:
        """A block that comes whole; the input of a call in a delta, as that of any call."""
        self._open = True
        shown, inputs = block, []
        if "input" in block:
            shown = {**block, "input": {}}
            inputs = [self._delta(type="input_json_delta", partial_json=_dumps(block["input"]))]
        return [self._block("content_block_start", content_block=shown), *inputs, *self._close()]

    def _close(self) -> list[Sent]:
        if not self._open:
            return []
        closed = self._block("content_block_stop")
        self._open = False
        self._index += 1
        return [closed]

    def _delta(self, **delta: str) -> Sent:
        return self._block("content_block_delta", delta=delta)

    def _block(self, kind: str, **fields: Any) -> Sent:
        return _event(kind, index=self._index, **fields)


class BodyFold:
    """Feed it the same events; `body` is then the whole message."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._blocks: list[tuple[_Block, list[str], list[str]]] = []
        self._own = OwnCalls()
        self._end: Finished | None = None

    def feed(self, event: Event) -> None:
        match event:
            case Started():
                self._id = event.id or self._id
            case BlockStarted(block):
                self._blocks.append((block, [], []))
            case TextDelta(text) | ThinkingDelta(text) | InputDelta(text):
                self._blocks[-1][1].append(text)
            case Signed(signature):
                self._blocks[-1][2].append(signature)
            case Restarted():
                self._blocks.clear()
                self._own = OwnCalls()
            case Finished():
                self._end = event
        self._blocks += [(block, [], []) for block in self._own.feed(event)]

    def body(self) -> dict[str, Any]:
        """Raises `ApiError` when the events ended without `Finished`."""
        if self._end is None:
            raise cut_short()
        content = [_whole(block, "".join(said), "".join(signed)) for block, said, signed in self._blocks]
        return {
            **_message(self._id, self._model, content, usage_object(self._end.usage) | self._own.usage),
            "stop_reason": self._end.stop_reason,
            "stop_sequence": self._end.stop_sequence,
        }


def usage_object(usage: Usage) -> dict[str, Any]:
    thoughts = {"output_tokens_details": {"thinking_tokens": usage.thinking}} if usage.thinking else {}
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        **thoughts,
    }


def status(error: ApiError) -> int:
    """The dialect has a status of its own for an overload, by which its clients know one, none for a wrong shape."""
    if error.type == "overloaded_error":
        return _OVERLOADED
    return 400 if error.status == 422 else error.status


def error_object(error: ApiError, request_id: str | None = None) -> dict[str, Any]:
    """The body of an error answer, and the `data` of an error inside a stream."""
    type_ = "not_found_error" if error.status == 404 else _TYPES.get(error.type, error.type)
    inner = {"type": type_, "message": _message_of(error), **error.extra}
    body: dict[str, Any] = {"type": "error", "error": inner}
    return body | ({"request_id": request_id} if request_id else {})


def _message_of(error: ApiError) -> str:
    """Of a wrong shape each field by its place, as the API itself says it."""
    told = [
        f"{one['field'].removeprefix('body -> ').replace(' -> ', '.')}: {one['message']}"
        for one in error.extra.get("details", ())
    ]
    return "; ".join(told) or error.message


def _message(id_: str, model: str, content: list[Any], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "usage": usage,
    }


def _empty(block: Text | Thought | RedactedThought | ToolUse) -> dict[str, Any]:
    match block:
        case Thought():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case _:
            return _whole(block, "", "")


def _whole(block: _Block, said: str, signature: str) -> dict[str, Any]:
    match block:
        case dict():
            return block
        case Text():
            return {"type": "text", "text": said}
        case Thought():
            return {"type": "thinking", "thinking": said, "signature": signature}
        case RedactedThought(data):
            return {"type": "redacted_thinking", "data": data}
        case ToolUse(id_, name):
            return {"type": "tool_use", "id": id_, "name": name, "input": as_written(said)}


def _event(kind: str, **fields: Any) -> Sent:
    return kind, _dumps({"type": kind, **fields})


def _dumps(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
