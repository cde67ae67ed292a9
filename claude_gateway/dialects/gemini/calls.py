"""The calls of a conversation and what answers them: by id, or by name and order, as older programs do. Pure; raises
`ApiError` 400 naming the part at fault."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from claude_gateway.dialects.gemini.wire import FunctionCall, FunctionResponse, ResponsePart
from claude_gateway.prompt import media
from claude_gateway.prompt.call_input import read_input
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.tools import is_writable
from workers.job import Document, Image, Text, ToolResult, ToolUse

_NAMELESS = "unnamed"


@dataclass(slots=True)
class _Waiting:
    """A call that has no response yet; `named` where the caller gave it its id."""

    id: str
    name: str
    named: bool


class Calls:
    """Tell it of each call and each response in their order, and of each time that the model begins to speak anew."""

    def __init__(self, notes: list[str], open_calls: Iterable[ToolUse] = ()) -> None:
        self._notes = notes
        self._waiting = [_Waiting(call.id, call.name, named=True) for call in open_calls]
        self._answered: list[_Waiting] = []
        self._ids = {call.id for call in self._waiting}
        self._count = 0

    def forget(self) -> None:
        """The model goes on: what was not answered until now is answered no more."""
        self._waiting.clear()
        self._answered.clear()

    def call(self, call: FunctionCall, where: str) -> ToolUse:
        self._count += 1
        # Without an id of the caller's the same one each time, so that a conversation is known again.
        id_ = call.id or f"unnamed_call_{self._count}"
        self._ids.add(id_)
        self._waiting.append(_Waiting(id_, call.name, named=bool(call.id)))
        args = call.args if "args" in call.model_fields_set else {}
        return ToolUse(id_, call.name, read_input(args, f"{where}.args", self._notes))

    def result(self, response: FunctionResponse, where: str) -> ToolResult:
        _check_writable(response.response, f"{where}.response")
        text, is_error = _said(response.response)
        more = self._media(response.parts or (), where)
        return ToolResult(self._answer(response), (*((Text(text),) if text.strip() else ()), *more), is_error)

    def _answer(self, response: FunctionResponse) -> str:
        """The id of the call that it answers: one that has no answer yet, or the newest that has one. What answers no
        call at all goes by its own name."""
        call = self._meant(response, self._waiting)
        if call is not None:
            self._waiting.remove(call)
            self._answered.append(call)
            return call.id
        again = self._meant(response, self._answered[::-1])
        return again.id if again is not None else response.id or response.name or _NAMELESS

    def _meant(self, response: FunctionResponse, calls: Sequence[_Waiting]) -> _Waiting | None:
        """By id; by name and order where one of the two has none, or the response one that no call has."""
        by_id = (call for call in calls if response.id and call.id == response.id)
        known = response.id in self._ids
        by_name = (call for call in calls if call.name == response.name and not (call.named and known))
        return next(by_id, None) or next(by_name, None)

    def _media(self, parts: Iterable[ResponsePart], where: str) -> list[Image | Document]:
        found = []
        for index, part in enumerate(parts):
            place = f"{where}.parts.{index}"
            if part.inline_data is not None:
                found.append(media.read(part.inline_data.data, part.inline_data.mime_type, place))
            else:
                self._notes.append(f"{place}: left out, it holds no inlineData")
        return found


def _said(response: Any) -> tuple[str, bool]:
    """The text of a response, and whether it tells of an error. `output` and `error` are Google's words for the
    two; anything else is the function's own."""
    if response is None or response == {}:
        return "", False
    if isinstance(response, str):
        return response, False
    if isinstance(response, dict) and len(response) == 1:
        match response:
            case {"output": str(text)}:
                return text, False
            case {"error": error}:
                return error if isinstance(error, str) else _dumps(error), True
    return _dumps(response), False


def _check_writable(value: Any, where: str) -> None:
    if not is_writable(value):
        raise bad(where, "is nested too deep")


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
