"""Whose request a body is, told by what stands in it. Pure."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.openai_chat import parameters as openai_chat
from claude_gateway.prompt.conversation import bad


class Kind(StrEnum):
    """The four requests that there are, by the names that `?dialect=` takes."""

    CHAT = "chat"
    RESPONSES = "responses"
    MESSAGES = "messages"
    GEMINI = "gemini"


_OTHER_NAMES = {
    "openai": Kind.CHAT,
    "openai_chat": Kind.CHAT,
    "openai_responses": Kind.RESPONSES,
    "anthropic": Kind.MESSAGES,
    "google": Kind.GEMINI,
}
# `thinking` is taken in chats too, and yet speaks for the dialect that it comes from.
_ONLY_MESSAGES = (anthropic.PARAMETERS.keys() - openai_chat.PARAMETERS.keys()) | {"thinking"}
_ONLY_CHAT = openai_chat.PARAMETERS.keys() - anthropic.PARAMETERS.keys()


def kind_of(sent: Mapping[str, Any], headers: Collection[str], named: str | None) -> tuple[Kind, str]:
    """The kind, and by what it was told. `headers` are the names of the request's. Raises `ApiError` 400 for a name
    that is none."""
    if named is not None:
        return _named(named), "query"
    if "contents" in sent:
        return Kind.GEMINI, "body"
    if "input" in sent and not sent.get("messages"):
        return Kind.RESPONSES, "body"
    lowered = {name.lower() for name in headers}
    if "anthropic-version" in lowered:
        return Kind.MESSAGES, "header"
    if len(sent.keys() & _ONLY_MESSAGES) > len(sent.keys() & _ONLY_CHAT):
        return Kind.MESSAGES, "body"
    return Kind.CHAT, "body"


def _named(name: str) -> Kind:
    lowered = name.lower()
    if lowered in _OTHER_NAMES:
        return _OTHER_NAMES[lowered]
    if lowered not in list(Kind):
        raise bad("dialect", f"must be one of {', '.join(Kind)}")
    return Kind(lowered)
