"""Find the function call to which each function response in a Gemini request belongs. No I/O.

A function response of a newer client contains the id of the call. A function response of an older client only contains
the name of the function, so the gateway uses this name and the order of the calls. If a part is invalid, the functions
raise `ApiError` 400 with the field path of the part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.core.json_text import encode_json
from claude_gateway.dialects.common.content import media
from claude_gateway.dialects.common.tools.call_arguments import parse_call_arguments
from claude_gateway.dialects.common.tools.tools import is_serializable
from claude_gateway.dialects.gemini.schema import FunctionResponse, FunctionResponsePart, GeminiFunctionCall
from workers.core.job import Document, Image, Text, ToolResult, ToolUse

_DEFAULT_CALL_NAME = "unnamed"


@dataclass(slots=True)
class _PendingCall:
    """A function call of the latest model turn. The matcher keeps it until the next model turn begins.

    Attributes:
        id: The id of the call.
        name: The name of the function.
        has_client_id: Whether the client sent the id. If not, the gateway generated the id.
    """

    id: str
    name: str
    has_client_id: bool


class CallMatcher:
    """Finds the function call to which each function response belongs.

    The calling code passes the calls and the responses in the order of the conversation, and calls `clear` at the
    beginning of each new model turn.

    Args:
        notes: The list to which the matcher adds warnings for the client.
        open_calls: The calls at the end of the stored history that have no response yet.
    """

    def __init__(self, notes: list[str], open_calls: Iterable[ToolUse] = ()) -> None:
        self._notes = notes
        self._pending = [_PendingCall(call.id, call.name, has_client_id=True) for call in open_calls]
        self._matched: list[_PendingCall] = []
        self._ids = {call.id for call in self._pending}
        self._call_count = 0

    def clear(self) -> None:
        """Forget all calls. After a new model turn has begun, no function response can belong to an earlier call."""
        self._pending.clear()
        self._matched.clear()

    def parse_call(self, call: GeminiFunctionCall, field_path: str) -> ToolUse:
        """Convert a function call to a tool call, and remember the call for its function response."""
        self._call_count += 1
        # The generated id of a call is the same in each request of a conversation, so that the gateway recognizes the
        # conversation.
        id_ = call.id or f"unnamed_call_{self._call_count}"
        self._ids.add(id_)
        self._pending.append(_PendingCall(id_, call.name, has_client_id=bool(call.id)))
        args = call.args if "args" in call.model_fields_set else {}
        return ToolUse(id_, call.name, parse_call_arguments(args, f"{field_path}.args", self._notes))

    def parse_response(self, response: FunctionResponse, field_path: str) -> ToolResult:
        """Convert a function response to a tool result with the id of the call to which the response belongs."""
        _check_serializable(response.response, f"{field_path}.response")
        text, is_error = _parse_response_text(response.response)
        media_blocks = self._parse_media(response.parts or (), field_path)
        text_blocks = (Text(text),) if text.strip() else ()
        return ToolResult(self._match_call_id(response), (*text_blocks, *media_blocks), is_error)

    def _match_call_id(self, response: FunctionResponse) -> str:
        """Return the id of the call to which a function response belongs.

        The method prefers a call that has no response yet. Otherwise it uses the newest call that fits, although that
        call already has a response. If no call fits, the result is the id or the name in the response.
        """
        call = self._find_call(response, self._pending)
        if call is not None:
            self._pending.remove(call)
            self._matched.append(call)
            return call.id
        matched_call = self._find_call(response, self._matched[::-1])
        return matched_call.id if matched_call is not None else response.id or response.name or _DEFAULT_CALL_NAME

    def _find_call(self, response: FunctionResponse, calls: Sequence[_PendingCall]) -> _PendingCall | None:
        """Find the call that has the same id as the response. If there is no such call, find a call by function name.

        The method uses the name only if the gateway generated the id of the call, if the response has no id, or if no
        call in the conversation has the id of the response.
        """
        by_id = (call for call in calls if response.id and call.id == response.id)
        is_known_id = response.id in self._ids
        by_name = (call for call in calls if call.name == response.name and not (call.has_client_id and is_known_id))
        return next(by_id, None) or next(by_name, None)

    def _parse_media(self, parts: Iterable[FunctionResponsePart], field_path: str) -> list[Image | Document]:
        blocks = []
        for index, part in enumerate(parts):
            part_path = f"{field_path}.parts.{index}"
            if part.inline_data is not None:
                blocks.append(media.from_base64(part.inline_data.data, part.inline_data.mime_type, part_path))
            else:
                self._notes.append(f"{part_path}: omitted (it has no inlineData)")
        return blocks


def _parse_response_text(response: Any) -> tuple[str, bool]:
    """Return the text of a function response, and whether the text reports an error.

    If the response object has only the field `output` or only the field `error`, the text is the value of this field.
    Google's documentation defines these two fields. Any other object becomes JSON text.
    """
    if response is None or response == {}:
        return "", False
    if isinstance(response, str):
        return response, False
    if isinstance(response, dict) and len(response) == 1:
        match response:
            case {"output": str(text)}:
                return text, False
            case {"error": error}:
                return error if isinstance(error, str) else encode_json(error), True
    return encode_json(response), False


def _check_serializable(value: Any, field_path: str) -> None:
    if not is_serializable(value):
        raise bad_request(field_path, "is nested too deeply")
