"""Who is calling. Pure: headers and the peer's address in, a key or an `ApiError` out."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from multidict import MultiMapping

from claude_gateway.errors import ApiError

_KEY_HEADERS = ("x-api-key", "x-goog-api-key")
# Any of these says that somebody stands between the caller and us, so the peer's address is not the caller's.
_FORWARDING_HEADER = re.compile(
    r"forwarded|via|x-forwarded.*|x-original.*|x-.*-ip|x-.*-for|true-client-ip|cf-.*|fastly-.*|tailscale-.*",
    re.IGNORECASE,
)
_OWN_PAGES = ("same-origin", "none")
_HOW_TO_MAKE_ONE = (
    "This gateway has no API key, so it serves only direct callers from its own machine. "
    "Make one and start again: export API_KEY=$(openssl rand -hex 32); echo $API_KEY; claude-gateway serve"
)


SCOPES = frozenset({"chat", "tools", "mcp", "admin"})


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


@dataclass(frozen=True, slots=True)
class Key:
    """A caller. `id` names the key without being it; `scopes` are what it may do, `models` the only ones it may ask
    for (names, or patterns with `*`), where there are any."""

    id: str
    scopes: frozenset[str] = SCOPES
    name: str = ""
    models: tuple[str, ...] = ()
    rates: Rates = Rates()
    budget: Budget = Budget()

    def require(self, scope: str) -> None:
        """Raises `ApiError` 403."""
        if scope not in self.scopes:
            raise ApiError(403, "permission_error", f"This key lacks the scope {scope!r}.", code="missing_scope")


LOCAL = Key("local")


class KeyRing:
    """The keys that open this gateway; with none, the rule for callers from the machine itself."""

    def __init__(self, api_key: str | None) -> None:
        self._digest = _digest(api_key.encode("utf-8", "surrogateescape")) if api_key else None

    def identify(
        self, headers: MultiMapping[str], peer: str | None, *, http_1_0: bool = False, in_query: Sequence[str] = ()
    ) -> Key:
        """The caller's key. Raises `ApiError` 401. `headers` ignores case; `peer` is the address of the socket;
        `in_query` are keys of the query, where the path's dialect has them there."""
        if self._digest is None:
            return _local_caller(headers, peer, http_1_0)
        for sent in [*_sent_keys(headers), *in_query]:
            # Digests have one length and no shared prefix to find out letter by letter.
            if hmac.compare_digest(_digest(sent.encode("utf-8", "surrogateescape")), self._digest):
                return Key("environment")
        raise ApiError(401, "authentication_error", "Missing or invalid API key.", code="invalid_api_key")


def _sent_keys(headers: MultiMapping[str]) -> list[str]:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    found = [bearer.strip()] if scheme.lower() == "bearer" else []
    return found + [headers[name] for name in _KEY_HEADERS if name in headers]


def _local_caller(headers: MultiMapping[str], peer: str | None, http_1_0: bool) -> Key:
    """Direct, from this machine, and not a web page in its browser: those carry a foreign Origin or Host.

    HTTP/1.0 is what nginx speaks when nobody told it otherwise, with no other sign of itself.
    """
    direct = _is_loopback(peer) and not http_1_0 and not any(map(_FORWARDING_HEADER.fullmatch, headers))
    local_names = all(map(_is_local_name, headers.getall("host", [""]))) and all(
        _is_local_name(origin.partition("://")[2]) for origin in headers.getall("origin", [])
    )
    own_page = headers.get("sec-fetch-site", "none") in _OWN_PAGES
    if direct and local_names and own_page:
        return LOCAL
    raise ApiError(401, "authentication_error", _HOW_TO_MAKE_ONE, code="api_key_not_configured")


def _is_local_name(netloc: str) -> bool:
    try:
        host = urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return False
    return "@" not in netloc and (host == "localhost" or _is_loopback(host))


def _is_loopback(address: str | None) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
