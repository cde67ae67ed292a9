"""Settings for rate limits, concurrency limits and trusted proxies."""

from collections.abc import Mapping

from pydantic import Field, field_validator

from claude_gateway.auth.client_address import Network, parse_networks
from claude_gateway.config.base import SettingsGroup

_MAX_PER_MINUTE = 1_000_000


class RateLimitSettings(SettingsGroup):
    """Limits on requests a minute for each key, and for each address that sends no key, by group of routes."""

    rate_limit_enabled: bool = Field(True, description="Whether requests are counted and limited.")
    rate_limit_chat_per_minute: int = Field(
        10,
        ge=1,
        le=_MAX_PER_MINUTE,
        description="Chat requests a minute for each key, all dialects together.",
    )
    rate_limit_count_tokens_per_minute: int = Field(
        6_000,
        ge=1,
        le=_MAX_PER_MINUTE,
        description="Requests a minute for each key to count tokens; editors send up to 40 a second.",
    )
    rate_limit_session_per_minute: int = Field(
        15, ge=1, le=_MAX_PER_MINUTE, description="Requests a minute for each key to `/v1/sessions`."
    )
    rate_limit_auth_per_minute: int = Field(
        10, ge=1, le=_MAX_PER_MINUTE, description="Requests a minute for each key to `/v1/auth/status`."
    )
    rate_limit_debug_per_minute: int = Field(
        2, ge=1, le=_MAX_PER_MINUTE, description="Requests a minute for each key to `/v1/debug/request`."
    )
    rate_limit_health_per_minute: int = Field(
        30, ge=1, le=_MAX_PER_MINUTE, description="Requests a minute for each address to `/health` and `/version`."
    )
    rate_limit_per_minute: int = Field(
        30,
        ge=1,
        le=_MAX_PER_MINUTE,
        description="Requests a minute for each key to all other counted paths; docs/operations/keys.md lists them.",
    )
    max_concurrent_jobs_per_key: int | None = Field(
        None,
        ge=1,
        description="Maximum number of concurrent jobs of a key, including jobs that wait for a worker; one more gets "
        "429.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of trusted proxies, separated by commas. The gateway takes the address of "
        "the client from their `X-Forwarded-For` or `X-Real-IP`.",
    )

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _check_trusted_proxies(cls, value: str) -> str:
        parse_networks(value)
        return value

    @property
    def trusted_proxy_networks(self) -> tuple[Network, ...]:
        """Networks of the trusted proxies, parsed from the setting `trusted_proxies`."""
        return parse_networks(self.trusted_proxies)

    def requests_per_minute(self) -> Mapping[str, int]:
        """Return the limits by rate-limit group; an empty mapping if rate limits are off."""
        if not self.rate_limit_enabled:
            return {}
        return {
            "chat": self.rate_limit_chat_per_minute,
            "count_tokens": self.rate_limit_count_tokens_per_minute,
            "session": self.rate_limit_session_per_minute,
            "auth": self.rate_limit_auth_per_minute,
            "debug": self.rate_limit_debug_per_minute,
            "health": self.rate_limit_health_per_minute,
            "general": self.rate_limit_per_minute,
        }
