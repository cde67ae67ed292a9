"""What is remembered between requests, how long and how much of it."""

from pydantic import AliasChoices, Field

from claude_gateway.config.group import Group
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.stores.responses import Room


class Kept(Group):
    """Sessions, stored responses, and the ledger of what was used."""

    session_ttl_seconds: float = Field(
        3600,
        gt=0,
        le=10 * 365 * 86_400,
        validation_alias=AliasChoices("session_ttl_seconds", "session_ttl"),
        description="How long after its last use a session is remembered; `SESSION_TTL` is the same.",
    )
    session_limit: int = Field(1_000, ge=1, description="Sessions that one key may have; one more gets 429.")
    session_max_mib: float = Field(
        32, gt=0, le=1_024, description="The most that one session may remember; more gets 413."
    )
    sessions_max_mib: float = Field(
        1_024, gt=0, le=2**20, description="The most that all sessions of a key may remember together; more gets 429."
    )
    response_ttl_seconds: float = Field(
        30 * 24 * 3600, gt=0, description="How long a response of `/v1/responses` is stored."
    )
    response_limit: int = Field(
        10_000, ge=1, description="Stored responses that one key may have; the oldest goes for one more."
    )
    responses_max_mib: float = Field(
        1_024, gt=0, description="The most that all stored responses of a key may hold; the oldest go for more."
    )
    background_limit: int = Field(
        10,
        ge=0,
        description="Responses that one key may have in the background at once; one more gets 429. Twice as many may "
        "be followed at once.",
    )

    usage_retention_days: int = Field(
        400,
        ge=1,
        le=36_500,
        description="How long each job stays in the ledger that `/v1/usage` is read from, in days.",
    )

    def sessions(self) -> SessionLimits:
        return SessionLimits(
            ttl=self.session_ttl_seconds,
            per_key=self.session_limit,
            bytes_each=int(self.session_max_mib * 2**20),
            bytes_per_key=int(self.sessions_max_mib * 2**20),
        )

    def responses(self) -> Room:
        return Room(
            ttl=self.response_ttl_seconds,
            responses=self.response_limit,
            bytes=int(self.responses_max_mib * 2**20),
        )
