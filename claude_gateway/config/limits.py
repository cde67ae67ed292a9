"""How much a caller may ask for."""

from collections.abc import Mapping

from pydantic import Field, field_validator

from claude_gateway.access.address import Network, read_networks
from claude_gateway.config.group import Group

_MOST = 1_000_000


class RateLimits(Group):
    """Requests a minute by group of paths, for each key, and for each address without one."""

    rate_limit_enabled: bool = Field(True, description="`false`: nobody's requests are counted.")
    rate_limit_chat_per_minute: int = Field(
        10, ge=1, le=_MOST, description="Requests for an answer that one key may send a minute, in any dialect."
    )
    rate_limit_count_per_minute: int = Field(
        6_000, ge=1, le=_MOST, description="The same for counting tokens, which editors do 40 times a second."
    )
    rate_limit_session_per_minute: int = Field(15, ge=1, le=_MOST, description="The same for `/v1/sessions`.")
    rate_limit_auth_per_minute: int = Field(10, ge=1, le=_MOST, description="The same for `/v1/auth/status`.")
    rate_limit_debug_per_minute: int = Field(2, ge=1, le=_MOST, description="The same for `/v1/debug/request`.")
    rate_limit_health_per_minute: int = Field(
        30, ge=1, le=_MOST, description="The same for `/health` and `/version`, for each address."
    )
    rate_limit_per_minute: int = Field(
        30, ge=1, le=_MOST, description="The same for everything else that is counted: docs/keys.md."
    )
    jobs_at_once: int | None = Field(
        None, ge=1, description="Jobs that one key may have at once, waiting ones too; one more gets 429."
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks, with commas between, of proxies whose `X-Forwarded-For` or `X-Real-IP` "
        "says who the caller is.",
    )

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, value: str) -> str:
        read_networks(value)
        return value

    @property
    def proxies(self) -> tuple[Network, ...]:
        return read_networks(self.trusted_proxies)

    def per_minute(self) -> Mapping[str, int]:
        """By group; empty where nobody is counted."""
        if not self.rate_limit_enabled:
            return {}
        return {
            "chat": self.rate_limit_chat_per_minute,
            "count": self.rate_limit_count_per_minute,
            "session": self.rate_limit_session_per_minute,
            "auth": self.rate_limit_auth_per_minute,
            "debug": self.rate_limit_debug_per_minute,
            "health": self.rate_limit_health_per_minute,
            "general": self.rate_limit_per_minute,
        }
