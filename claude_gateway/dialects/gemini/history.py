"""The contents of a Gemini request as the turns of a conversation. Pure; raises `ApiError` 400 naming the part."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from pydantic.alias_generators import to_camel

from claude_gateway.dialects.gemini.calls import Calls
from claude_gateway.dialects.gemini.wire import CodeExecutionResult, Content, ExecutableCode, FileData, Part
from claude_gateway.prompt import media
from claude_gateway.prompt.conversation import Conversation, bad
from claude_gateway.prompt.in_words import in_words
from claude_gateway.prompt.thoughts import Sealer, unseal
from workers.job import Block, RedactedThought, Text, Thought, ToolUse, Turn

# The caller's own notes on a part.
_NO_HINTS = frozenset({"partMetadata", "part_metadata"})
_GOOGLE_S_FILES = "https://generativelanguage.googleapis.com/"
Places = Iterable[tuple[str, Part]]


class History:
    """Reads the contents of one request into a conversation, which may go on from `remembered` turns."""

    def __init__(self, conversation: Conversation, sealer: Sealer, remembered: Sequence[Turn] = ()) -> None:
        last = remembered[-1].blocks if remembered else ()
        self._conversation = conversation
        self._notes = conversation.notes
        self._noted: set[str] = set()
        self._sealer = sealer
        self._calls = Calls(conversation.notes, [block for block in last if isinstance(block, ToolUse)])
        self._model_spoke_last = bool(remembered)

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

    def _read_user(self, parts: Places) -> None:
        blocks: list[Block] = []
        for where, part in parts:
            self._note_hints(part, where)
            if (block := self._user_block(part, where)) is not None:
                blocks.append(block)
        if _without_blanks(blocks):
            self._model_spoke_last = False
            self._conversation.add("user", blocks)

    def _read_model(self, parts: Sequence[tuple[str, Part]]) -> None:
        if not self._model_spoke_last and any(_says_something(part) for _, part in parts):
            self._calls.forget()
            self._model_spoke_last = True
        blocks: list[Block] = []
        for where, part in parts:
            self._note_hints(part, where)
            blocks += self._thoughts(part, where)
            block = self._model_block(part, where)
            last = blocks[-1] if blocks else None
            if isinstance(block, Text) and isinstance(last, Text):
                blocks[-1] = Text(last.text + block.text)
            elif block is not None:
                blocks.append(block)
        kept = _without_blanks(blocks)
        while kept and isinstance(kept[-1], Thought | RedactedThought):
            kept.pop()  # behind it nothing was said
        self._conversation.add("assistant", kept)

    def _thoughts(self, part: Part, where: str) -> tuple[Thought | RedactedThought, ...]:
        """What the model thought before this part, if it was given by this gateway."""
        if not part.thought_signature:
            return ()
        thoughts = unseal(part.thought_signature, self._sealer)
        if not thoughts:
            self._note_once(f"{where}.thoughtSignature", "left out, this gateway did not make it")
        return thoughts

    def _model_block(self, part: Part, where: str) -> Block | None:
        if part.function_call is not None:
            return self._calls.call(part.function_call, f"{where}.functionCall")
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
            return self._calls.result(part.function_response, f"{where}.functionResponse")
        if part.function_call is not None:
            raise bad(f"{where}.functionCall", "a call belongs into a content of the model's")
        if part.inline_data is not None:
            return media.read(part.inline_data.data, part.inline_data.mime_type, f"{where}.inlineData")
        if part.file_data is not None:
            return _file(part.file_data, f"{where}.fileData")
        return self._text(part, where)

    def _text(self, part: Part, where: str) -> Text | None:
        if part.text is not None:
            return Text(part.text)
        if part.executable_code is not None:
            return Text(_code(part.executable_code))
        if part.code_execution_result is not None:
            return Text(_outcome(part.code_execution_result))
        if part.unknown:
            names = ", ".join(name[:40] for name in part.unknown)
            words = "\n".join(text for name, value in part.unknown.items() if (text := _words(name, value)))
            self._notes.append(
                f"{where}: a part with {names} {'is given to Claude as text' if words else 'was left out'}"
            )
            return Text(f"\n{words}\n") if words else None
        return None

    def _note_hints(self, part: Part, where: str) -> None:
        """How Google's models should look at what the part holds: a resolution, a piece of a video."""
        if not part.unknown:
            return
        if part.text is not None or part.inline_data is not None or part.function_response is not None:
            for name, value in part.unknown.items():
                if value not in (None, {}) and name not in _NO_HINTS:
                    self._note_once(f"{where}.{name[:40]}", "left out, Claude has no such parameter")

    def _note_once(self, place: str, line: str) -> None:
        """What is so of one part is so of hundreds; the first is named."""
        kind = place.rpartition(".")[2]
        if kind not in self._noted:
            self._noted.add(kind)
            self._notes.append(f"{place}: {line}")


def texts(content: Content, where: str, notes: list[str]) -> list[str]:
    """The texts of a system instruction."""
    found = []
    for index, part in enumerate(content.parts or ()):
        if part.text is None:
            notes.append(f"{where}.parts.{index}: left out, a system instruction is text")
        elif part.text.strip():
            found.append(part.text)
    return found


def _file(file: FileData, where: str) -> Block:
    uri = file.file_uri or ""
    if uri.startswith(_GOOGLE_S_FILES):
        raise bad(where, "files are not kept here; send what is in it as inlineData")
    return media.remote(uri, where)


def _says_something(part: Part) -> bool:
    if part.text is not None:
        return bool(part.text.strip()) and not part.thought
    return any(one is not None for one in (part.function_call, part.executable_code, part.code_execution_result))


def _without_blanks(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if not isinstance(block, Text) or block.text.strip()]


def _words(name: str, value: Any) -> str:
    """A part of a kind that nobody knows, in the same words whatever the case of its keys."""
    fields = {to_camel(key): inner for key, inner in value.items()} if isinstance(value, dict) else {}
    return in_words(to_camel(name)[:60], fields)


def _code(code: ExecutableCode) -> str:
    return f"\n```{(code.language or '').lower()}\n{code.code}\n```\n"


def _outcome(result: CodeExecutionResult) -> str:
    return f"\nThe code was run. Its output:\n{result.output or '(none)'}\n"
