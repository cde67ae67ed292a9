"""Blocks and items that cannot reach Claude as they are, as text with all of them that can be read. Pure.

What a provider's own tool did stands in a history in the blocks of that provider. The model reads what was asked and
what was found; seals, ids and images in it are left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_gateway.prompt.deferred_tools import reference

# They mean something to the provider that wrote them, and to nobody else.
_UNREADABLE = frozenset(
    {
        *("id", "call_id", "tool_use_id", "approval_request_id", "container_id", "file_id", "response_id"),
        *("signature", "cache_control", "caller", "annotations", "citations", "logprobs", "media_type"),
    }
)
_SEALED = "encrypted"
# What goes without saying.
_USUAL = {"status": "completed", "is_error": False}
# Fields whose text speaks for itself.
_TEXTS = frozenset({"text", "content", "data", "output", "logs", "result", "summary"})
_ARGUMENTS = frozenset({"input", "arguments", "action", "operation"})
# Types that say no more than their fields do.
_PLAIN_TYPES = re.compile(r"\w*text|\w+_result|document|content|logs|base64|url|summary_text")
_DATA = re.compile(r"data:[^,]{0,100};base64,.*|[A-Za-z0-9+/=_-]{1000,}", re.DOTALL)
_NO_TEXT = "(left out: it is no text)"
_MAX_DEPTH = 50


def in_words(kind: str, fields: Mapping[str, Any]) -> str:
    """A block or an item of this type as text; "" where nothing of it can be read."""
    lines = [line for name, value in fields.items() if name != "type" for line in _field(name, value, 0)]
    text = "\n".join(lines).strip()
    return f"<{kind}>\n{text}\n</{kind}>" if text else ""


def _field(name: str, value: Any, depth: int) -> Iterator[str]:
    if name in _UNREADABLE or name.startswith(_SEALED) or value in (None, "", [], {}) or value == _USUAL.get(name):
        return
    match value:
        case str() if _DATA.fullmatch(value):
            yield _NO_TEXT
        case str() if name in _TEXTS:
            yield value
        case str():
            yield f"{name}: {value}"
        case dict() if depth < _MAX_DEPTH and (name not in _ARGUMENTS or _is_plain(value)):
            yield from _inner(value, depth + 1)
        case list() if depth < _MAX_DEPTH and any(isinstance(one, dict) for one in value):
            yield from _inner(value, depth + 1)
        case _:
            yield f"{name}: {_json(value)}"


def _inner(value: dict[str, Any] | list[Any], depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name != "type" or not (isinstance(one, str) and _PLAIN_TYPES.fullmatch(one)):
                yield from _field(name, one, depth)
        return
    for one in value:
        match one:
            case {"type": "tool_reference", "tool_name": str(name)}:
                yield reference(name)
                continue
            case dict():
                yield ""
        yield from _field("text", one, depth)


def _is_plain(arguments: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in arguments.values())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
