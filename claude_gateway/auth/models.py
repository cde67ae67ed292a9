"""API keys and their permissions as frozen data. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_gateway.core.errors import ApiError

_STORED_KEY_ID = re.compile(r"[0-9a-f]{12}")
# Regular expression of the name of a group of keys.
GROUP_NAME_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
# Regular expression of the name of a login. The name is a label of metrics and the value of a response header.
LOGIN_NAME_PATTERN = r"^[A-Za-z0-9._-]{1,40}$"
SCOPES = frozenset({"chat", "tools", "mcp", "admin"})
FIRST_KEY_COMMAND = "claude-gateway keys create --name me --scope chat --scope tools --scope mcp --scope admin"
NO_API_KEY_MESSAGE = (
    "This gateway has no API key yet. Until it has one, it accepts only direct connections from its own machine, and "
    f"only for chat. Create a key on that machine: {FIRST_KEY_COMMAND}. Or set one key for all clients and restart: "
    "export API_KEY=$(openssl rand -hex 32); echo $API_KEY; claude-gateway serve"
)


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits that the operator set for one key. They replace the limits from the settings.

    Attributes:
        requests_per_minute: Allowed requests a minute, by rate-limit group. For groups that are missing here, the
            settings apply.
        max_concurrent_jobs: Limit on the running and waiting jobs together. If it is None, the settings apply.
    """

    requests_per_minute: Mapping[str, int] = field(default_factory=dict)
    max_concurrent_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Maximum tokens and US dollars that a key may use on one day (UTC). None means unlimited."""

    tokens_per_day: int | None = None
    usd_per_day: float | None = None


NO_BUDGET = Budget()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An authenticated API key with its permissions.

    Attributes:
        id: Public identifier of the key. It is not secret.
        scopes: Permissions of the key. Each is an element of `SCOPES`.
        name: Name that the operator gave the key.
        models: Names of the models that the key may use, or patterns with `*`. If empty, the key may use all models.
        limits: The key's own limits.
        budget: The key's budget per day.
        group: Name of the key's group, or "" if the key is in no group. The keys of a group share processes.
        login: Name of the only login that the key may use, or "" if it may use each login.
        credential: Digest of the secret with which the client authenticated. A rotation of the secret changes the
            digest.
    """

    id: str
    scopes: frozenset[str] = SCOPES
    name: str = ""
    models: tuple[str, ...] = ()
    limits: KeyLimits = KeyLimits()
    budget: Budget = NO_BUDGET
    group: str = ""
    login: str = ""
    credential: bytes = field(default=b"", repr=False, compare=False)

    @property
    def is_stored(self) -> bool:
        """Whether the key is in the database, unlike the key of the environment and `LOCAL_KEY`."""
        return _STORED_KEY_ID.fullmatch(self.id) is not None

    def require_scope(self, scope: str) -> None:
        """Check that the key has the scope.

        Raises:
            ApiError: 403 if the key lacks the scope, or 401 if the client has no key.
        """
        if scope not in self.scopes and self.id == LOCAL_KEY.id:
            raise ApiError(401, "authentication_error", NO_API_KEY_MESSAGE, code="api_key_not_configured")
        if scope not in self.scopes:
            raise ApiError(403, "permission_error", f"This key lacks the scope {scope!r}.", code="missing_scope")


# The key that the gateway assigns to clients on its own machine as long as no key exists. Such a client may be the
# operator, a sandboxed program, a container that uses the machine's network, or another user. The gateway cannot
# distinguish them, so this key only permits chats.
LOCAL_KEY = ApiKey("local", frozenset({"chat"}))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as the database stores it. All times are in epoch seconds.

    Attributes:
        key: The key and its permissions.
        digest: Digest of the key's secret. The database does not store the secret itself.
        created_at: Time of creation.
        expires_at: Time from which the gateway rejects the key; None if the key never expires.
        revoked_at: Time of revocation; None if the key is not revoked.
    """

    key: ApiKey
    digest: bytes = field(repr=False)
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def status(self, now: float) -> str:
        """Return the status of the key at the time `now` (`active`, `expired` or `revoked`)."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"
