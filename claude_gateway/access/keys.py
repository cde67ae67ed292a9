"""Who is calling. Pure: headers and the peer's address in, a key or an `ApiError` out."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from claude_gateway.errors import ApiError

_KEY_HEADERS = ("x-api-key", "x-goog-api-key")
# Any of these says that somebody stands between the caller and us, so the peer's address is not the caller's.
_FORWARDING_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_HOW_TO_MAKE_ONE = (
    "This gateway has no API key, so it serves only direct callers from its own machine. "
    "Make one and start again: API_KEY=$(openssl rand -hex 32) claude-gateway serve"
)


@dataclass(frozen=True, slots=True)
class Key:
    """A caller. `id` names the key without being it."""

    id: str


LOCAL = Key("local")


class KeyRing:
    """The keys that open this gateway; with none, the rule for callers from the machine itself."""

    def __init__(self, api_key: str | None) -> None:
        self._digest = _digest(api_key.encode("utf-8", "surrogateescape")) if api_key else None

    @property
    def required(self) -> bool:
        return self._digest is not None

    def identify(self, headers: Mapping[str, str], peer: str | None) -> Key:
        """The caller's key. Raises `ApiError` 401. `headers` ignores case; `peer` is the address of the socket."""
        if self._digest is None:
            return _local_caller(headers, peer)
        for sent in _sent_keys(headers):
            # Digests have one length and no shared prefix to find out letter by letter.
            if hmac.compare_digest(_digest(sent.encode("utf-8", "surrogateescape")), self._digest):
                return Key("environment")
        raise ApiError(401, "authentication_error", "Missing or invalid API key.", code="invalid_api_key")


def _sent_keys(headers: Mapping[str, str]) -> list[str]:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    found = [bearer.strip()] if scheme.lower() == "bearer" else []
    return found + [headers[name] for name in _KEY_HEADERS if name in headers]


def _local_caller(headers: Mapping[str, str], peer: str | None) -> Key:
    """Direct, from this machine, and not a web page in its browser: those carry a foreign Origin or Host."""
    direct = _is_loopback(peer) and not any(name in headers for name in _FORWARDING_HEADERS)
    origin = headers.get("origin")
    local_names = _is_local_name(headers.get("host", "")) and (
        origin is None or _is_local_name(origin.partition("://")[2])
    )
    if direct and local_names:
        return LOCAL
    raise ApiError(401, "authentication_error", _HOW_TO_MAKE_ONE, code="api_key_not_configured")


def _is_local_name(netloc: str) -> bool:
    try:
        host = urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return False
    return host == "localhost" or _is_loopback(host)


def _is_loopback(address: str | None) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
