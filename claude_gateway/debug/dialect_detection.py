"""Detects the dialect of a request from the request's body and headers. No I/O."""

from collections.abc import Collection, Mapping
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.openai_chat import parameters as openai_chat

# The names that the query parameter `dialect` accepts.
_DIALECT_ALIASES: Mapping[str, DialectName] = {
    **{dialect.kind: dialect for dialect in DialectName},
    **{dialect.value: dialect for dialect in DialectName},
    "openai": DialectName.OPENAI_CHAT,
    "google": DialectName.GEMINI,
}
# Fields that only Anthropic requests have. The gateway also accepts `thinking` in OpenAI chats. Still, the field counts
# as a sign of the Anthropic dialect, because this dialect defines the field.
_MESSAGES_ONLY_FIELDS = (anthropic.PARAMETERS.keys() - openai_chat.PARAMETERS.keys()) | {"thinking"}
_CHAT_ONLY_FIELDS = openai_chat.PARAMETERS.keys() - anthropic.PARAMETERS.keys()


def detect_request_dialect(
    body_object: Mapping[str, Any], header_names: Collection[str], requested_dialect: str | None
) -> tuple[DialectName, str]:
    """Return the dialect of a request, and the part of the request that shows the dialect (`query`, `body`, `header`).

    Args:
        body_object: The body of the request, as a JSON object.
        header_names: The names of the request headers.
        requested_dialect: The dialect that the client names in the query string; None if it names no dialect there.

    Raises:
        ApiError: 400 if the query names an unknown dialect.
    """
    if requested_dialect is not None:
        return _parse_dialect(requested_dialect), "query"
    if "contents" in body_object:
        return DialectName.GEMINI, "body"
    if "input" in body_object and not body_object.get("messages"):
        return DialectName.OPENAI_RESPONSES, "body"
    lowered = {name.lower() for name in header_names}
    if "anthropic-version" in lowered:
        return DialectName.ANTHROPIC, "header"
    if len(body_object.keys() & _MESSAGES_ONLY_FIELDS) > len(body_object.keys() & _CHAT_ONLY_FIELDS):
        return DialectName.ANTHROPIC, "body"
    return DialectName.OPENAI_CHAT, "body"


def _parse_dialect(name: str) -> DialectName:
    lowered = name.lower()
    if lowered not in _DIALECT_ALIASES:
        raise bad_request("dialect", f"must be one of {', '.join(dialect.kind for dialect in DialectName)}")
    return _DIALECT_ALIASES[lowered]
