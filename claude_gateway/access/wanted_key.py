"""A key as it is asked for, on the command line or by `POST /v1/admin/keys`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from claude_gateway.access.keys import Budget, Key, Rates, StoredKey
from claude_gateway.prompt.numbers import Integer, Number

Scope = Literal["chat", "tools", "mcp", "admin"]
# What is counted together; docs/keys.md says which paths each is.
Group = Literal["chat", "count", "session", "auth", "debug", "health", "general"]
ModelPattern = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
PerMinute = Annotated[Integer, Field(ge=1, le=1_000_000)]

_DAY_SECONDS = 86_400
_LONGEST_DAYS = 36_500


class _Part(BaseModel):
    # A misspelt bound must not become no bound.
    model_config = ConfigDict(extra="forbid", frozen=True)


class WantedBudget(_Part):
    """What the key may spend on a day (UTC)."""

    tokens_per_day: Integer | None = Field(None, ge=1, le=10**15, description="Tokens of all kinds together.")
    usd_per_day: Number | None = Field(None, gt=0, le=10**9, description="US dollars, as Claude Code reports the cost.")


class WantedLimits(_Part):
    """Limits for a key that there is already."""

    per_minute: dict[Group, PerMinute] = {}
    concurrent: int | None = Field(None, ge=1, le=10_000)

    @property
    def by_group(self) -> dict[str, int]:
        return {str(group): limit for group, limit in self.per_minute.items()}


class WantedKey(_Part):
    """Everything but the name has a default; the least a key can do is chat."""

    name: str = Field(min_length=1, max_length=100, description="What people call it.")
    scopes: list[Scope] = Field(default=["chat"], min_length=1, description="What it may do.")
    models: list[ModelPattern] = Field(
        default=[], max_length=100, description="The only models it may ask for, as names or patterns with `*`."
    )
    expires_in_days: Number | None = Field(None, gt=0, le=_LONGEST_DAYS, description="Without it the key stays.")
    per_minute: dict[Group, PerMinute] = Field(
        default={}, description="Requests a minute by group, in place of the settings."
    )
    concurrent: Integer | None = Field(None, ge=1, le=10_000, description="Jobs at once, waiting ones too.")
    budget: WantedBudget = WantedBudget()

    @field_validator("name")
    @classmethod
    def _fit_for_a_line(cls, value: str) -> str:
        if not value.isprintable() or not value.strip():
            raise ValueError("must be printable")
        return value

    def stored(self, id_: str, digest: bytes, now: float) -> StoredKey:
        key = Key(
            id_,
            frozenset(self.scopes),
            self.name,
            tuple(dict.fromkeys(self.models)),
            Rates({str(group): limit for group, limit in self.per_minute.items()}, self.concurrent),
            Budget(self.budget.tokens_per_day, self.budget.usd_per_day),
        )
        until = None if self.expires_in_days is None else now + self.expires_in_days * _DAY_SECONDS
        return StoredKey(key, digest, now, until)


def described(stored: StoredKey, now: float) -> dict[str, Any]:
    """A key as callers and people are told of it: times in seconds of the epoch, nothing of its secret."""
    key = stored.key
    return {
        "id": key.id,
        "name": key.name,
        "status": stored.status(now),
        "scopes": sorted(key.scopes),
        "models": list(key.models),
        "per_minute": dict(key.rates.per_minute),
        "concurrent": key.rates.concurrent,
        "budget": {"tokens_per_day": key.budget.tokens, "usd_per_day": key.budget.usd},
        "created_at": stored.created_at,
        "expires_at": stored.expires_at,
        "revoked_at": stored.revoked_at,
    }
