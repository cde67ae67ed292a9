"""Settings for stored sessions, stored responses and usage records."""

from pydantic import Field

from claude_gateway.config.base import SettingsGroup
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.stored_responses.response_store import ResponseLimits


class RetentionSettings(SettingsGroup):
    """Lifetimes and limits of stored data."""

    session_ttl_seconds: float = Field(
        3600,
        gt=0,
        le=10 * 365 * 86_400,
        description="Time after its last use after which a session is deleted.",
    )
    max_sessions_per_key: int = Field(
        1_000, ge=1, description="Maximum number of sessions of a key; one more gets 429."
    )
    max_session_history_mib: float = Field(
        32, gt=0, le=1_024, description="Maximum size of the stored conversation of a session, in MiB; more gets 413."
    )
    max_session_history_per_key_mib: float = Field(
        1_024,
        gt=0,
        le=2**20,
        description="Maximum size of the stored conversations of all sessions of a key, in MiB; more gets 429.",
    )
    stored_response_ttl_seconds: float = Field(
        30 * 24 * 3600, gt=0, description="Time after which a stored response of `/v1/responses` is deleted."
    )
    max_stored_responses_per_key: int = Field(
        10_000,
        ge=1,
        description="Maximum number of stored responses of a key; the gateway deletes the oldest one for each more.",
    )
    max_stored_responses_per_key_mib: float = Field(
        1_024,
        gt=0,
        description="Maximum size of all stored responses of a key, in MiB; the gateway deletes the oldest ones.",
    )
    max_background_responses_per_key: int = Field(
        10,
        ge=0,
        description="Maximum number of running background responses of a key; one more gets 429. Clients "
        "of the key can read the streams of twice as many at the same time.",
    )

    usage_retention_days: int = Field(
        400,
        ge=1,
        le=36_500,
        description="Days after which the usage record of a job is deleted; `/v1/usage` is computed from them.",
    )

    def session_limits(self) -> SessionLimits:
        """Return the limits of sessions, in bytes and seconds."""
        return SessionLimits(
            ttl_seconds=self.session_ttl_seconds,
            max_sessions_per_key=self.max_sessions_per_key,
            max_bytes_per_session=int(self.max_session_history_mib * 2**20),
            max_bytes_per_key=int(self.max_session_history_per_key_mib * 2**20),
        )

    def stored_response_limits(self) -> ResponseLimits:
        """Return the limits of stored responses, in bytes and seconds."""
        return ResponseLimits(
            ttl_seconds=self.stored_response_ttl_seconds,
            max_responses=self.max_stored_responses_per_key,
            max_bytes=int(self.max_stored_responses_per_key_mib * 2**20),
        )
