"""Events to a chat completion: chunks of a stream, or their sum as one body. Pure."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from claude_gateway.dialects.openai_chat.custom import Custom, Form
from claude_gateway.errors import ApiError, cut_short
from claude_gateway.prompt.raw_calls import RawCalls
from claude_gateway.prompt.too_long import in_openai_words
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Restarted,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import ToolUse

DONE = "[DONE]"
NONE: Custom = MappingProxyType({})
# A chunk has no event name; its data is one line of JSON.
Sent = tuple[None, str]
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "length",
    "refusal": "content_filter",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What every chunk of one completion repeats. `created` is in Unix seconds."""

    id: str
    created: int
    model: str


class ChunkEncoder:
    """Feed it the events of a job; each gives the server-sent events to send, in order."""

    def __init__(
        self,
        identity: Identity,
        *,
        include_usage: bool,
        legacy: bool = False,
        custom: Custom = NONE,
        index: int = 0,
    ) -> None:
        self._base = {
            "id": identity.id,
            "object": "chat.completion.chunk",
            "created": identity.created,
            "model": identity.model,
        }
        self._include_usage = include_usage
        self._legacy = legacy
        self._custom = custom
        self._raw = RawCalls(custom)
        # In which form the call goes out that is open.
        self._form: Form | None = None
        self._index = index
        self._begun = False
        self._calls = 0
        self._open_call = False

    def feed(self, event: Event) -> list[Sent]:
        """Raises `ApiError` at `Restarted`: what was sent cannot be taken back."""
        sent = self.feed_choice(event)
        return [*sent, *self.end(event.usage)] if isinstance(event, Finished) else sent

    def feed_choice(self, event: Event) -> list[Sent]:
        """The same for one choice of several: its end is not that of the stream."""
        return [sent for one in self._raw.feed(event) for sent in self._chunks(one)]

    def _chunks(self, event: Event) -> list[Sent]:
        match event:
            case TextDelta(text):
                return self._delta({"content": text})
            case ThinkingDelta(text):
                return self._delta({"reasoning_content": text})
            case BlockStarted(ToolUse(id_, name)):
                self._calls += 1
                self._form = self._custom.get(name)
                # What is called by raw text may be called by none.
                self._open_call = self._form is None
                if self._form == "own":
                    return self._call({"id": id_, "type": "custom", "custom": {"name": name, "input": ""}})
                function = {"name": name, "arguments": ""}
                return self._call({"id": id_, "type": "function", "function": function})
            case InputDelta(text):
                self._open_call = False
                if self._form == "own":
                    return self._call({"custom": {"input": text}})
                return self._call({"function": {"arguments": text}})
            case BlockEnded() if self._open_call:
                # A call without arguments streams none; an empty string is no JSON.
                self._open_call = False
                return self._call({"function": {"arguments": "{}"}})
            case Finished():
                return [*self._opening(), self._choice({}, _finish_reason(event, legacy=self._legacy))]
            case Restarted():
                raise cut_short()
        return []

    def end(self, usage: Usage) -> list[Sent]:
        """What closes the stream, behind every choice."""
        if not self._include_usage:
            return [(None, DONE)]
        return [(None, _dumps({**self._base, "choices": [], "usage": usage_object(usage)})), (None, DONE)]

    def _call(self, fragment: dict[str, Any]) -> list[Sent]:
        if self._legacy:
            return self._delta({"function_call": fragment["function"]}) if self._calls == 1 else []
        return self._delta({"tool_calls": [{"index": self._calls - 1, **fragment}]})

    def _delta(self, delta: dict[str, Any]) -> list[Sent]:
        return [*self._opening(), self._choice(delta)]

    def _opening(self) -> list[Sent]:
        """The first delta names the role: stream helpers of the openai libraries throw without it."""
        if self._begun:
            return []
        self._begun = True
        return [self._choice({"role": "assistant", "content": ""})]

    def fail(self, error: ApiError) -> list[Sent]:
        """How a stream ends that cannot be finished: the error, and no `[DONE]` behind it."""
        return [(None, _dumps(error_object(error)))]

    def _choice(self, delta: dict[str, Any], finish_reason: str | None = None) -> Sent:
        choice = {"index": self._index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk: dict[str, Any] = {**self._base, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return None, _dumps(chunk)


class BodyFold:
    """Feed it the same events; `body` is then the whole completion."""

    def __init__(self, identity: Identity, *, legacy: bool = False, custom: Custom = NONE) -> None:
        self._identity = identity
        self._legacy = legacy
        self._custom = custom
        self._forget()

    def _forget(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[tuple[ToolUse, list[str]]] = []
        self._end: Finished | None = None
        self._raw = RawCalls(self._custom)

    def feed(self, event: Event) -> None:
        for one in self._raw.feed(event):
            self._take(one)

    def _take(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._text.append(text)
            case ThinkingDelta(text):
                self._thinking.append(text)
            case BlockStarted(ToolUse() as call):
                self._calls.append((call, []))
            case InputDelta(text):
                self._calls[-1][1].append(text)
            case Restarted():
                self._forget()
            case Finished():
                self._end = event

    @property
    def usage(self) -> Usage:
        return self._whole().usage

    def body(self) -> dict[str, Any]:
        """Raises `ApiError` when the events ended without `Finished`."""
        return completion(self._identity, [self.choice(0)], self.usage)

    def choice(self, index: int) -> dict[str, Any]:
        finish_reason = _finish_reason(self._whole(), legacy=self._legacy)
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._thinking:
            message["reasoning_content"] = "".join(self._thinking)
        if self._calls:
            message["content"] = text or None
            message["tool_calls"] = [self._called(call, "".join(arguments)) for call, arguments in self._calls]
            if self._legacy:
                message["function_call"] = message.pop("tool_calls")[0]["function"]
        return {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}

    def _called(self, call: ToolUse, arguments: str) -> dict[str, Any]:
        form = self._custom.get(call.name)
        if form == "own":
            return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": arguments}}
        written = arguments or ("{}" if form is None else "")
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": written}}

    def _whole(self) -> Finished:
        if self._end is None:
            raise cut_short()
        return self._end


def completion(identity: Identity, choices: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
    return {
        "id": identity.id,
        "object": "chat.completion",
        "created": identity.created,
        "model": identity.model,
        "choices": choices,
        "usage": usage_object(usage),
    }


def _finish_reason(event: Finished, *, legacy: bool) -> str:
    if legacy and event.stop_reason == "tool_use":
        return "function_call"
    return _FINISH_REASONS.get(event.stop_reason, "stop")


def usage_object(usage: Usage) -> dict[str, Any]:
    """OpenAI counts cached tokens into the prompt; the Messages API counts them apart."""
    prompt = usage.input + usage.cache_read + usage.cache_write
    thoughts = {"completion_tokens_details": {"reasoning_tokens": usage.thinking}} if usage.thinking else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        **thoughts,
    }


def error_object(error: ApiError) -> dict[str, Any]:
    """The body of an error answer, and the `data` of an error inside a stream."""
    inner: dict[str, Any] = {"message": in_openai_words(error), "type": error.type, "code": error.code}
    if error.param is not None:
        inner["param"] = error.param
    if error.retry_after is not None:
        inner["retry_after"] = error.retry_after
    return {"error": {**inner, **error.extra}}


def _dumps(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
