"""The names of the API dialects. No I/O."""

from enum import StrEnum


class DialectName(StrEnum):
    """Name of an API dialect, as it appears in usage records and metrics."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"

    @property
    def kind(self) -> str:
        """Short name of the dialect in the requests and responses of `/v1/compatibility` and `/v1/debug/request`."""
        return _KINDS[self]


_KINDS = {
    DialectName.OPENAI_CHAT: "chat",
    DialectName.OPENAI_RESPONSES: "responses",
    DialectName.ANTHROPIC: "messages",
    DialectName.GEMINI: "gemini",
}
