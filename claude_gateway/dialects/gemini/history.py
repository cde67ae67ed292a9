"""The contents of a Gemini request as the turns of a conversation. Pure; raises `ApiError` 400 naming the part.

A function's response names its call by id, or by name and order, as older programs do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from claude_gateway.conversation import Conversation, bad
from claude_gateway.dialects.gemini.media import read_blob
from claude_gateway.dialects.gemini.wire import (
    CodeExecutionResult,
    Content,
    ExecutableCode,
    FunctionCall,
    FunctionResponse,
    Part,
    ResponsePart,
)
from claude_gateway.thoughts import unseal
from claude_gateway.tools import is_writable
from workers.job import Block, Image, RedactedThought, Text, Thought, ToolResult, ToolUse


@dataclass(slots=True)
class _Call:
    """A call of the model's last turn that waits for its response; `named` where the caller gave it its id."""

    id: str
    name: str
    named: bool


class History:
    """Reads the contents of one request into a conversation."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._notes = conversation.notes
        self._waiting: list[_Call] = []
        self._calls = 0
        self._model_spoke_last = False
        self._foreign_signature_noted = False

    def read(self, contents: Sequence[Content]) -> None:
        """Neighbouring contents of one side are one message: who streams keeps each chunk as a content."""
        for is_model, group in groupby(enumerate(contents), key=lambda one: one[1].role == "model"):
            parts = [
                (f"contents.{number}.parts.{index}", part)
                for number, content in group
                for index, part in enumerate(content.parts or ())
            ]
            if is_model:
                self._read_model(parts)
            else:
                self._read_user(parts)

    def _read_user(self, parts: Iterable[tuple[str, Part]]) -> None:
        blocks = [block for where, part in parts if (block := self._user_block(part, where)) is not None]
        if any(not isinstance(block, Text) or block.text.strip() for block in blocks):
            self._model_spoke_last = False
        self._conversation.add("user", blocks)

    def _read_model(self, parts: Iterable[tuple[str, Part]]) -> None:
        waiting: list[_Call] = []
        blocks: list[Block] = []
        for where, part in parts:
            blocks += self._thoughts(part, where)
            block = self._model_block(part, where, waiting)
            last = blocks[-1] if blocks else None
            if isinstance(block, Text) and isinstance(last, Text):
                blocks[-1] = Text(last.text + block.text)
            elif block is not None:
                blocks.append(block)
        kept = _without_blanks(blocks)
        if kept:
            self._waiting = [*self._waiting, *waiting] if self._model_spoke_last else waiting
            self._model_spoke_last = True
            self._conversation.add("assistant", kept)

    def _thoughts(self, part: Part, where: str) -> tuple[Thought | RedactedThought, ...]:
        """What the model thought before this part, if it was given by this gateway."""
        if not part.thought_signature:
            return ()
        thoughts = unseal(part.thought_signature)
        if not thoughts and not self._foreign_signature_noted:
            self._foreign_signature_noted = True
            self._notes.append(f"{where}.thoughtSignature: left out, it is not of Claude")
        return thoughts

    def _model_block(self, part: Part, where: str, waiting: list[_Call]) -> Block | None:
        if part.function_call is not None:
            return self._call(part.function_call, where, waiting)
        if part.function_response is not None:
            raise bad(f"{where}.functionResponse", "a response belongs into a content of the user's")
        if part.inline_data is not None or part.file_data is not None:
            self._notes.append(f"{where}: left out, a turn of Claude's holds no media")
            return None
        if part.thought:
            return None  # told to the caller for his eyes; the signature of the next part holds it whole
        return self._text(part, where)

    def _user_block(self, part: Part, where: str) -> Block | None:
        if part.function_response is not None:
            return self._result(part.function_response, f"{where}.functionResponse")
        if part.function_call is not None:
            raise bad(f"{where}.functionCall", "a call belongs into a content of the model's")
        if part.inline_data is not None:
            return read_blob(part.inline_data, f"{where}.inlineData")
        if part.file_data is not None:
            raise bad(f"{where}.fileData", "files cannot be fetched here; send the content itself as inlineData")
        return self._text(part, where)

    def _text(self, part: Part, where: str) -> Text | None:
        if part.text is not None:
            return Text(part.text)
        if part.executable_code is not None:
            return Text(_code(part.executable_code))
        if part.code_execution_result is not None:
            return Text(_outcome(part.code_execution_result))
        names = ", ".join(name[:40] for name in part.unknown)
        if names:
            self._notes.append(f"{where}: a part with {names} was left out")
        return None

    def _call(self, call: FunctionCall, where: str, waiting: list[_Call]) -> ToolUse:
        self._calls += 1
        # Without an id of the caller's the same one each time, so that a conversation is known again.
        id_ = call.id or f"unnamed_call_{self._calls}"
        waiting.append(_Call(id_, call.name, named=bool(call.id)))
        _writable(call.args, f"{where}.functionCall.args")
        return ToolUse(id_, call.name, call.args or {})

    def _result(self, response: FunctionResponse, where: str) -> ToolResult:
        call = self._answered(response)
        if call is None:
            shown = (response.id or response.name or "")[:80]
            raise bad(where, f"{shown!r} answers no call of the content before it")
        self._waiting.remove(call)
        _writable(response.response, f"{where}.response")
        text, is_error = _said(response.response)
        images = self._images(response.parts or (), where)
        return ToolResult(call.id, (*((Text(text),) if text.strip() else ()), *images), is_error)

    def _answered(self, response: FunctionResponse) -> _Call | None:
        """By id; by name and order where one of the two has none."""
        if response.id:
            by_id = [call for call in self._waiting if call.id == response.id]
            if by_id:
                return by_id[0]
        fitting = [call for call in self._waiting if not (response.id and call.named)]
        return next((call for call in fitting if call.name == response.name), None)

    def _images(self, parts: Iterable[ResponsePart], where: str) -> list[Image]:
        images = []
        for index, part in enumerate(parts):
            place = f"{where}.parts.{index}"
            block = read_blob(part.inline_data, place) if part.inline_data else None
            if isinstance(block, Image):
                images.append(block)
            else:
                self._notes.append(f"{place}: left out, a function's response holds text and images")
        return images


def texts(content: Content, where: str, notes: list[str]) -> list[str]:
    """The texts of a system instruction."""
    found = []
    for index, part in enumerate(content.parts or ()):
        if part.text is None:
            notes.append(f"{where}.parts.{index}: left out, a system instruction is text")
        elif part.text.strip():
            found.append(part.text)
    return found


def _without_blanks(blocks: Iterable[Block]) -> list[Block]:
    """No blank text, and no thought behind which nothing was said."""
    kept = [block for block in blocks if not isinstance(block, Text) or block.text.strip()]
    while kept and isinstance(kept[-1], Thought | RedactedThought):
        kept.pop()
    return kept


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


def _code(code: ExecutableCode) -> str:
    return f"\n```{(code.language or '').lower()}\n{code.code}\n```\n"


def _outcome(result: CodeExecutionResult) -> str:
    return f"\nThe code was run. Its output:\n{result.output or '(none)'}\n"


def _writable(value: Any, where: str) -> None:
    if not is_writable(value):
        raise bad(where, "is nested too deep")


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
