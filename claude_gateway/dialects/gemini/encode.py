"""Events to a Gemini answer: chunks of a stream, or their sum as one body. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from claude_gateway.dialects.gemini.failure import error_object
from claude_gateway.dialects.gemini.pieces import Parts
from claude_gateway.errors import ApiError, cut_short
from claude_gateway.prompt.thoughts import Sealer
from workers.events import Event, Finished, Restarted, Usage

# A chunk has no event name; its data is one line of JSON.
Sent = tuple[None, str]
_FINISH_REASONS = {
    "end_turn": "STOP",
    "stop_sequence": "STOP",
    "tool_use": "STOP",
    "max_tokens": "MAX_TOKENS",
    "model_context_window_exceeded": "MAX_TOKENS",
    "pause_turn": "MAX_TOKENS",
    "refusal": "SAFETY",
}
Json = dict[str, Any]


class ChunkEncoder:
    """Feed it the events of a job; each gives the chunks to send, in order."""

    def __init__(self, response_id: str, model: str, sealer: Sealer, *, include_thoughts: bool) -> None:
        self._identity = {"modelVersion": model, "responseId": response_id}
        self._parts = Parts(sealer, include_thoughts=include_thoughts)

    def feed(self, event: Event) -> list[Sent]:
        """Raises `ApiError` at `Restarted`: what was sent cannot be taken back."""
        match event:
            case Restarted():
                raise cut_short()
            case Finished():
                # The part is empty, but there: a content without parts makes Google's own chats forget the turn.
                last = candidate([{"text": "", **self._parts.sealed()}], _finish_reason(event, self._parts))
                return [self._chunk(last, usageMetadata=usage_object(event.usage))]
        return [self._chunk(candidate([part])) for part in self._parts.feed(event)]

    def fail(self, error: ApiError) -> list[Sent]:
        """How a stream ends that cannot be finished: the error, and no finish reason."""
        return [(None, _dumps(error_object(error)))]

    def _chunk(self, one: Json, **more: Any) -> Sent:
        return None, _dumps({"candidates": [one], **more, **self._identity})


class BodyFold:
    """Feed it the same events; `body` is then the whole response."""

    def __init__(self, response_id: str, model: str, sealer: Sealer, *, include_thoughts: bool) -> None:
        self._identity = {"modelVersion": model, "responseId": response_id}
        self._sealer = sealer
        self._include_thoughts = include_thoughts
        self._forget()

    def _forget(self) -> None:
        self._parts = Parts(self._sealer, include_thoughts=self._include_thoughts)
        self._said: list[Json] = []
        self._texts: list[list[str]] = []
        self._end: Finished | None = None

    def feed(self, event: Event) -> None:
        match event:
            case Restarted():
                self._forget()
            case Finished():
                self._end = event
                if (rest := self._parts.sealed()) or not self._said:
                    self._add({"text": "", **rest})
            case _:
                for part in self._parts.feed(event):
                    self._add(part)

    def _add(self, part: Json) -> None:
        """Pieces of one text become one part again; a signature begins another."""
        last = self._said[-1] if self._said else {}
        goes_on = part.keys() <= {"text", "thought"} and "text" in last and part.get("thought") == last.get("thought")
        if goes_on:
            self._texts[-1].append(part["text"])
        else:
            self._said.append(part)
            self._texts.append([part["text"]] if "text" in part else [])

    def body(self) -> Json:
        """Raises `ApiError` when the events ended without `Finished`."""
        if self._end is None:
            raise cut_short()
        parts = [
            {**part, "text": "".join(pieces)} if pieces else part
            for part, pieces in zip(self._said, self._texts, strict=True)
        ]
        return {
            "candidates": [candidate(parts, _finish_reason(self._end, self._parts))],
            "usageMetadata": usage_object(self._end.usage),
            **self._identity,
        }


def candidate(parts: list[Json], finish_reason: str | None = None) -> Json:
    reason = {"finishReason": finish_reason} if finish_reason else {}
    return {"content": {"parts": parts, "role": "model"}, **reason, "index": 0}


def usage_object(usage: Usage) -> Json:
    """Google counts cached tokens into the prompt; the Messages API counts them apart; with thoughts
    it is the other way round."""
    prompt = usage.input + usage.cache_read + usage.cache_write
    cached = {"cachedContentTokenCount": usage.cache_read} if usage.cache_read else {}
    thoughts = {"thoughtsTokenCount": usage.thinking} if usage.thinking else {}
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage.output - usage.thinking,
        "totalTokenCount": prompt + usage.output,
        **cached,
        **thoughts,
    }


def _finish_reason(event: Finished, parts: Parts) -> str:
    reason = _FINISH_REASONS.get(event.stop_reason, "OTHER")
    return "MALFORMED_FUNCTION_CALL" if reason == "STOP" and parts.broken_call else reason


def _dumps(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


# What keeps a silent stream alive: the one thing that every client of Google's was seen to take. A comment ends them.
KEEP_ALIVE = _dumps({"candidates": [candidate([{"text": ""}])]})
