"""What a caller is to this gateway, and what it may do. Pure: frozen data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_gateway.errors import ApiError

_STORED_ID = re.compile(r"[0-9a-f]{12}")
SCOPES = frozenset({"chat", "tools", "mcp", "admin"})
FIRST_KEY_COMMAND = "claude-gateway keys create --name me --scope chat --scope tools --scope mcp --scope admin"
NO_KEY_YET = (
    "This gateway has no API key yet, so it serves only direct callers from its own machine, and those may only chat. "
    f"Make one on its console: {FIRST_KEY_COMMAND}. "
    "Or set one for all and start again: export API_KEY=$(openssl rand -hex 32); echo $API_KEY; claude-gateway serve"
)


@dataclass(frozen=True, slots=True)
class Rates:
    """A key's own limits; None leaves each to the settings. `per_minute` by group of routes, `concurrent` jobs at
    once."""

    per_minute: Mapping[str, int] = field(default_factory=dict)
    concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a key may spend on a day (UTC); None is no bound."""

    tokens: int | None = None
    usd: float | None = None


NO_BUDGET = Budget()


@dataclass(frozen=True, slots=True)
class Key:
    """A caller. `id` names the key without being it; `scopes` are what it may do, `models` the only ones it may ask
    for (names, or patterns with `*`), where there are any. `credential` is the digest of the secret that this caller
    brought: another one after a rotation."""

    id: str
    scopes: frozenset[str] = SCOPES
    name: str = ""
    models: tuple[str, ...] = ()
    rates: Rates = Rates()
    budget: Budget = NO_BUDGET
    credential: bytes = field(default=b"", repr=False, compare=False)

    @property
    def is_stored(self) -> bool:
        """Whether `claude-gateway keys` knows it; not the key of the environment, nor callers without one."""
        return _STORED_ID.fullmatch(self.id) is not None

    def require(self, scope: str) -> None:
        """Raises `ApiError` 403, or 401 where there is no key that could have the scope."""
        if scope not in self.scopes and self.id == LOCAL.id:
            raise ApiError(401, "authentication_error", NO_KEY_YET, code="api_key_not_configured")
        if scope not in self.scopes:
            raise ApiError(403, "permission_error", f"This key lacks the scope {scope!r}.", code="missing_scope")


# Whoever connects from the machine itself while there is no key: its owner, or a program in a box, a container with the
# network of the machine, another user of it. Nobody can tell them apart, so none of them is taken for the owner.
LOCAL = Key("local", frozenset({"chat"}))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key of the store; times in seconds of the epoch. `digest` is all that is known of its secret."""

    key: Key
    digest: bytes = field(repr=False)
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def status(self, now: float) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"
