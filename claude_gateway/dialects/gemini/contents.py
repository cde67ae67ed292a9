"""Convert the contents (messages) of a Gemini request to the turns of a conversation. No I/O.

If a part is invalid, the functions raise `ApiError` 400 with the field path of the part.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from pydantic.alias_generators import to_camel

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content import media
from claude_gateway.dialects.common.content.block_text import render_as_text
from claude_gateway.dialects.common.content.conversation import ConversationBuilder
from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner, verify_thinking
from claude_gateway.dialects.gemini.call_matching import CallMatcher
from claude_gateway.dialects.gemini.schema import (
    CodeExecutionResult,
    ExecutableCode,
    FileData,
    GeminiContent,
    GeminiPart,
)
from workers.core.job import Block, RedactedThinkingBlock, Text, ThinkingBlock, ToolUse, Turn

# Fields of a part in which clients store data for themselves. The gateway ignores them without a warning.
_IGNORED_PART_FIELDS = frozenset({"partMetadata", "part_metadata"})
_GOOGLE_FILES_URL = "https://generativelanguage.googleapis.com/"
PartsWithPaths = Iterable[tuple[str, GeminiPart]]


class ContentsParser:
    """Adds the contents of one request to a conversation.

    Args:
        conversation: The conversation to which the parser adds messages and warnings.
        signer: Verifies the signed thinking that clients send back.
        history_turns: The stored turns that the contents continue, if the request belongs to a session.
    """

    def __init__(
        self, conversation: ConversationBuilder, signer: ThinkingSigner, history_turns: Sequence[Turn] = ()
    ) -> None:
        last = history_turns[-1].blocks if history_turns else ()
        self._conversation = conversation
        self._notes = conversation.notes
        self._noted_fields: set[str] = set()
        self._signer = signer
        self._call_matcher = CallMatcher(conversation.notes, [block for block in last if isinstance(block, ToolUse)])
        self._is_model_last = bool(history_turns)

    def parse(self, contents: Sequence[GeminiContent]) -> None:
        """Add all contents of the request to the conversation.

        The parser merges successive contents of the model into one message, and successive contents of the user into
        one message. A reply may consist of several contents, because some clients store each chunk of a streamed reply
        as a separate content.
        """
        for is_model, group in groupby(enumerate(contents), key=lambda numbered: numbered[1].role == "model"):
            parts = [
                (f"contents.{number}.parts.{index}", part)
                for number, content in group
                for index, part in enumerate(content.parts or ())
            ]
            if is_model:
                self._parse_model_parts(parts)
            else:
                self._parse_user_parts(parts)

    def _parse_user_parts(self, parts: PartsWithPaths) -> None:
        blocks: list[Block] = []
        for part_path, part in parts:
            self._note_ignored_fields(part, part_path)
            if (block := self._parse_user_part(part, part_path)) is not None:
                blocks.append(block)
        if _drop_blank_texts(blocks):
            self._is_model_last = False
            self._conversation.add_message("user", blocks)

    def _parse_model_parts(self, parts: Sequence[tuple[str, GeminiPart]]) -> None:
        if not self._is_model_last and any(_has_content(part) for _, part in parts):
            self._call_matcher.clear()
            self._is_model_last = True
        blocks: list[Block] = []
        for part_path, part in parts:
            self._note_ignored_fields(part, part_path)
            blocks += self._parse_thinking(part, part_path)
            block = self._parse_model_part(part, part_path)
            last = blocks[-1] if blocks else None
            if isinstance(block, Text) and isinstance(last, Text):
                blocks[-1] = Text(last.text + block.text)
            elif block is not None:
                blocks.append(block)
        message_blocks = _drop_blank_texts(blocks)
        while message_blocks and isinstance(message_blocks[-1], ThinkingBlock | RedactedThinkingBlock):
            message_blocks.pop()  # no output comes after this thinking
        self._conversation.add_message("assistant", message_blocks)

    def _parse_thinking(self, part: GeminiPart, field_path: str) -> tuple[ThinkingBlock | RedactedThinkingBlock, ...]:
        """Return the thinking blocks in the field `thoughtSignature` of a part.

        In the conversation, these blocks come before the part. If this gateway did not sign the value of the field, the
        result is empty, and the method adds a warning for the client.
        """
        if not part.thought_signature:
            return ()
        thinking_blocks = verify_thinking(part.thought_signature, self._signer)
        if not thinking_blocks:
            self._note_once(f"{field_path}.thoughtSignature", "omitted (this gateway did not sign it)")
        return thinking_blocks

    def _parse_model_part(self, part: GeminiPart, field_path: str) -> Block | None:
        if part.function_call is not None:
            return self._call_matcher.parse_call(part.function_call, f"{field_path}.functionCall")
        if part.function_response is not None:
            raise bad_request(
                f"{field_path}.functionResponse", "function responses must be in a content with role user"
            )
        if part.inline_data is not None or part.file_data is not None:
            self._notes.append(f"{field_path}: omitted (a model message must not contain media)")
            return None
        if part.thought:
            return None  # this part is a copy for display; the field `thoughtSignature` contains the whole thinking
        return self._parse_text(part, field_path)

    def _parse_user_part(self, part: GeminiPart, field_path: str) -> Block | None:
        if part.function_response is not None:
            return self._call_matcher.parse_response(part.function_response, f"{field_path}.functionResponse")
        if part.function_call is not None:
            raise bad_request(f"{field_path}.functionCall", "function calls must be in a content with role model")
        if part.inline_data is not None:
            return media.from_base64(part.inline_data.data, part.inline_data.mime_type, f"{field_path}.inlineData")
        if part.file_data is not None:
            return _parse_file(part.file_data, f"{field_path}.fileData")
        return self._parse_text(part, field_path)

    def _parse_text(self, part: GeminiPart, field_path: str) -> Text | None:
        if part.text is not None:
            return Text(part.text)
        if part.executable_code is not None:
            return Text(_render_code(part.executable_code))
        if part.code_execution_result is not None:
            return Text(_render_code_result(part.code_execution_result))
        if part.unknown_fields:
            names = ", ".join(name[:40] for name in part.unknown_fields)
            rendered_text = "\n".join(
                text for name, value in part.unknown_fields.items() if (text := _render_unknown_part(name, value))
            )
            self._notes.append(
                f"{field_path}: converted a part with {names} to text"
                if rendered_text
                else f"{field_path}: omitted a part with {names}"
            )
            return Text(f"\n{rendered_text}\n") if rendered_text else None
        return None

    def _note_ignored_fields(self, part: GeminiPart, field_path: str) -> None:
        """Add a warning for each field of a part that only Google's models support.

        For example, such a field sets the resolution of an image.
        """
        if not part.unknown_fields:
            return
        if part.text is not None or part.inline_data is not None or part.function_response is not None:
            for name, value in part.unknown_fields.items():
                if value not in (None, {}) and name not in _IGNORED_PART_FIELDS:
                    self._note_once(f"{field_path}.{name[:40]}", "ignored (Claude has no such parameter)")

    def _note_once(self, field_path: str, message: str) -> None:
        """Add a warning about a field of a part, unless there is already a warning about this field in another part.

        A request may contain hundreds of parts with the same field.
        """
        field_name = field_path.rpartition(".")[2]
        if field_name not in self._noted_fields:
            self._noted_fields.add(field_name)
            self._notes.append(f"{field_path}: {message}")


def extract_system_texts(content: GeminiContent, field_path: str, notes: list[str]) -> list[str]:
    """Return the texts of a system instruction. Add a warning for each part that is not a text."""
    texts = []
    for index, part in enumerate(content.parts or ()):
        if part.text is None:
            notes.append(f"{field_path}.parts.{index}: omitted (a system instruction can only contain text)")
        elif part.text.strip():
            texts.append(part.text)
    return texts


def _parse_file(file: FileData, field_path: str) -> Block:
    uri = file.file_uri or ""
    if uri.startswith(_GOOGLE_FILES_URL):
        raise bad_request(field_path, "the gateway does not store files; send the content of the file as inlineData")
    return media.build_remote_image(uri, field_path)


def _has_content(part: GeminiPart) -> bool:
    if part.text is not None:
        return bool(part.text.strip()) and not part.thought
    return any(value is not None for value in (part.function_call, part.executable_code, part.code_execution_result))


def _drop_blank_texts(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if not isinstance(block, Text) or block.text.strip()]


def _render_unknown_part(name: str, value: Any) -> str:
    """Convert a part of an unknown kind to text. Its field names may be in camel case or in snake case."""
    fields = {to_camel(field_name): inner for field_name, inner in value.items()} if isinstance(value, dict) else {}
    return render_as_text(to_camel(name)[:60], fields)


def _render_code(code: ExecutableCode) -> str:
    return f"\n```{(code.language or '').lower()}\n{code.code}\n```\n"


def _render_code_result(result: CodeExecutionResult) -> str:
    return f"\nThe code was run. Its output:\n{result.output or '(none)'}\n"
