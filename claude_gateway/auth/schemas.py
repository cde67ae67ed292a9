"""Schemas of the requests that create or change a key, and the conversion of keys to JSON for clients.

The command `claude-gateway keys` and the endpoint `/v1/admin/keys` use these schemas.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from claude_gateway.auth.models import GROUP_NAME_PATTERN, LOGIN_NAME_PATTERN, ApiKey, Budget, KeyLimits, StoredKey
from claude_gateway.dialects.common.parameters.numbers import Integer, Number

Scope = Literal["chat", "tools", "mcp", "admin"]
# Groups of routes. The rate limiter counts the requests to all routes of a group together. The document
# docs/operations/keys.md lists the paths of each group.
RateLimitGroup = Literal["chat", "count_tokens", "session", "auth", "debug", "health", "general"]
ModelPattern = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
GroupName = Annotated[str, StringConstraints(pattern=GROUP_NAME_PATTERN)]
LoginName = Annotated[str, StringConstraints(pattern=LOGIN_NAME_PATTERN)]
RequestsPerMinute = Annotated[Integer, Field(ge=1, le=1_000_000)]

_DAY_SECONDS = 86_400
_MAX_EXPIRY_DAYS = 36_500


class _StrictModel(BaseModel):
    # Reject unknown fields. Otherwise a request with a misspelt limit would create a key without this limit.
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyBudgetRequest(_StrictModel):
    """Amounts that the key may spend on a day (UTC)."""

    tokens_per_day: Integer | None = Field(None, ge=1, le=10**15, description="Tokens of all kinds together.")
    usd_per_day: Number | None = Field(None, gt=0, le=10**9, description="US dollars, as Claude Code reports the cost.")


class UpdateKeyRequest(_StrictModel):
    """Change of an existing key. Fields that are missing here stay as they are."""

    requests_per_minute: dict[RateLimitGroup, RequestsPerMinute] = Field(
        default={}, description="New requests a minute of the rate-limit groups that are named here."
    )
    max_concurrent_jobs: Integer | None = Field(
        None, ge=1, le=10_000, description="Limit on concurrent jobs; null for the limit of the settings."
    )
    group: GroupName | None = Field(
        None, description="Group whose keys share processes with this key; null for no group."
    )
    login: LoginName | None = Field(None, description="Only login that the key may use; null for each login.")

    def apply_to(self, key: ApiKey) -> ApiKey:
        """Return the key with the change."""
        named, old = self.model_fields_set, key.limits
        limits = KeyLimits(
            {**old.requests_per_minute, **{str(group): limit for group, limit in self.requests_per_minute.items()}},
            self.max_concurrent_jobs if "max_concurrent_jobs" in named else old.max_concurrent_jobs,
        )
        return replace(
            key,
            limits=limits,
            group=(self.group or "") if "group" in named else key.group,
            login=(self.login or "") if "login" in named else key.login,
        )


class CreateKeyRequest(_StrictModel):
    """Request for a new key. Only the name is required; by default the key may only chat."""

    name: str = Field(min_length=1, max_length=100, description="Name of the key for operators.")
    scopes: list[Scope] = Field(default=["chat"], min_length=1, description="Permissions of the key.")
    models: list[ModelPattern] = Field(
        default=[],
        max_length=100,
        description="Models that the key may use, as names or patterns with `*`; if empty, all models.",
    )
    expires_in_days: Number | None = Field(
        None, gt=0, le=_MAX_EXPIRY_DAYS, description="Days until the key expires; without it the key never expires."
    )
    requests_per_minute: dict[RateLimitGroup, RequestsPerMinute] = Field(
        default={}, description="Requests a minute by rate-limit group; replaces the limits of the settings."
    )
    max_concurrent_jobs: Integer | None = Field(
        None, ge=1, le=10_000, description="Limit on concurrent jobs, including jobs that wait for a worker."
    )
    budget: KeyBudgetRequest = KeyBudgetRequest()
    group: GroupName | None = Field(
        None, description="Group whose keys share processes, for the keys of one person or team; null for no group."
    )
    login: LoginName | None = Field(
        None, description="Only login of the gateway that the key may use; null for each login."
    )

    @field_validator("name")
    @classmethod
    def _check_printable(cls, value: str) -> str:
        if not value.isprintable() or not value.strip():
            raise ValueError("must be printable")
        return value

    def to_stored_key(self, key_id: str, digest: bytes, now: float) -> StoredKey:
        """Convert the request to the key to store. The key expires `expires_in_days` after `now` (epoch seconds)."""
        key = ApiKey(
            key_id,
            frozenset(self.scopes),
            self.name,
            tuple(dict.fromkeys(self.models)),
            KeyLimits(
                {str(group): limit for group, limit in self.requests_per_minute.items()}, self.max_concurrent_jobs
            ),
            Budget(self.budget.tokens_per_day, self.budget.usd_per_day),
            self.group or "",
            self.login or "",
        )
        expires_at = None if self.expires_in_days is None else now + self.expires_in_days * _DAY_SECONDS
        return StoredKey(key, digest, now, expires_at)


def key_to_json(stored: StoredKey, now: float) -> dict[str, Any]:
    """Return the JSON object of a key for clients, without the key's digest. All times are in epoch seconds."""
    key = stored.key
    return {
        "id": key.id,
        "name": key.name,
        "status": stored.status(now),
        "scopes": sorted(key.scopes),
        "models": list(key.models),
        "requests_per_minute": dict(key.limits.requests_per_minute),
        "max_concurrent_jobs": key.limits.max_concurrent_jobs,
        "budget": {"tokens_per_day": key.budget.tokens_per_day, "usd_per_day": key.budget.usd_per_day},
        "group": key.group or None,
        "login": key.login or None,
        "created_at": stored.created_at,
        "expires_at": stored.expires_at,
        "revoked_at": stored.revoked_at,
    }
