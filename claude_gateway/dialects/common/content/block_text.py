"""Convert content blocks and input items to plain text if Claude does not accept their types. No I/O.

The history in a request may contain calls of hosted tools. A hosted tool is a tool that a provider runs, and its calls
have block types that only this provider defines. The gateway sends the arguments and the results of these calls to the
model as text. The text contains no signatures, ids or images.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_gateway.dialects.common.tools.deferred_tools import format_tool_reference

# The text leaves out these fields, because only the provider that wrote a field can use its value.
_OMITTED_FIELDS = frozenset(
    {
        *("id", "call_id", "tool_use_id", "approval_request_id", "container_id", "file_id", "response_id"),
        *("signature", "cache_control", "caller", "annotations", "citations", "logprobs", "media_type"),
    }
)
_ENCRYPTED_PREFIX = "encrypted"
# Usual values of fields. The text leaves out one of these fields if the field has its usual value.
_DEFAULT_VALUES = {"status": "completed", "is_error": False}
# The text shows the values of these fields without the field name.
_TEXT_FIELDS = frozenset({"text", "content", "data", "output", "logs", "result", "summary"})
_ARGUMENT_FIELDS = frozenset({"input", "arguments", "action", "operation"})
# The text leaves out the type of a nested block if the type matches this pattern, because the model recognizes the type
# from the other fields of the block.
_UNLABELED_TYPES = re.compile(r"\w*text|\w+_result|document|content|logs|base64|url|summary_text")
_BINARY_DATA = re.compile(r"data:[^,]{0,100};base64,.*|[A-Za-z0-9+/=_-]{1000,}", re.DOTALL)
_BINARY_PLACEHOLDER = "(omitted: not a text)"
_MAX_DEPTH = 50


def render_as_text(kind: str, fields: Mapping[str, Any]) -> str:
    """Convert a content block or an input item to text. The text is "" if the block has no readable content.

    Args:
        kind: Type of the block or item.
        fields: Names and values of the fields in the block or item.
    """
    lines = [line for name, value in fields.items() if name != "type" for line in _render_field(name, value, 0)]
    text = "\n".join(lines).strip()
    return f"<{kind}>\n{text}\n</{kind}>" if text else ""


def _render_field(name: str, value: Any, depth: int) -> Iterator[str]:
    if (
        name in _OMITTED_FIELDS
        or name.startswith(_ENCRYPTED_PREFIX)
        or value in (None, "", [], {})
        or value == _DEFAULT_VALUES.get(name)
    ):
        return
    match value:
        case str() if _BINARY_DATA.fullmatch(value):
            yield _BINARY_PLACEHOLDER
        case str() if name in _TEXT_FIELDS:
            yield value
        case str():
            yield f"{name}: {value}"
        case dict() if depth < _MAX_DEPTH and (name not in _ARGUMENT_FIELDS or _has_only_strings(value)):
            yield from _render_nested(value, depth + 1)
        case list() if depth < _MAX_DEPTH and any(isinstance(item, dict) for item in value):
            yield from _render_nested(value, depth + 1)
        case _:
            yield f"{name}: {_to_json(value)}"


def _render_nested(value: dict[str, Any] | list[Any], depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        for name, field in value.items():
            if name != "type" or not (isinstance(field, str) and _UNLABELED_TYPES.fullmatch(field)):
                yield from _render_field(name, field, depth)
        return
    for item in value:
        match item:
            case {"type": "tool_reference", "tool_name": str(name)}:
                yield format_tool_reference(name)
                continue
            case dict():
                yield ""
        yield from _render_field("text", item, depth)


def _has_only_strings(arguments: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in arguments.values())


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
