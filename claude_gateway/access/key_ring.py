"""Who is calling: headers and the peer's address in, a key or an `ApiError` out."""

import hmac
import ipaddress
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from multidict import MultiMapping

from claude_gateway.access.keys import LOCAL, NO_KEY_YET, Key, StoredKey
from claude_gateway.access.secret import digest, id_of
from claude_gateway.errors import ApiError

_KEY_HEADERS = ("x-api-key", "x-goog-api-key")
# Any of these says that somebody stands between the caller and us, so the peer's address is not the caller's.
_FORWARDING_HEADER = re.compile(
    r"forwarded|via|x-forwarded.*|x-original.*|x-.*-ip|x-.*-for|true-client-ip|cf-.*|fastly-.*|tailscale-.*",
    re.IGNORECASE,
)
_OWN_PAGES = ("same-origin", "none")

_ENVIRONMENT = Key("environment")


class KeySource(Protocol):
    """Where the keys are kept."""

    @property
    def changes(self) -> object:
        """Another one after each of them, whoever made it; costs nothing to ask."""
        ...

    async def held(self) -> tuple[bool, Sequence[StoredKey]]:
        """Whether there ever was a key, and those that were not revoked."""
        ...


class KeyRing:
    """The keys that open this gateway; where there never was one, the rule for callers from the machine itself.

    A gateway whose last key was revoked stays closed: what is behind a proxy would be open to everybody else.
    """

    def __init__(
        self, api_key: str | None, source: KeySource | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._digest = digest(api_key) if api_key else None
        self._source = source
        self._now = now
        self._seen: object = None
        self._any_stored = False
        self._stored: Mapping[str, StoredKey] = {}

    def renew(self, api_key: str | None) -> None:
        """Another key of the environment, or none any more."""
        self._digest = digest(api_key) if api_key else None

    async def follow(self) -> None:
        """Take in what has changed, also by the hand of another process; to be called before each `identify`."""
        if self._source is None or (changes := self._source.changes) == self._seen:
            return
        # The count before the keys: what changes meanwhile is seen the next time.
        self._any_stored, keys = await self._source.held()
        self._stored = {stored.key.id: stored for stored in keys}
        self._seen = changes

    @property
    def kind(self) -> str:
        """Where keys come from: `environment`, `store`, `none`."""
        if self._digest is not None:
            return "environment"
        return "store" if self._any_stored else "none"

    def concurrent(self, id_: str) -> int | None:
        """How many jobs at once a key may have, where it says so itself."""
        stored = self._stored.get(id_)
        return stored.key.rates.concurrent if stored else None

    def may(self, id_: str, scope: str) -> bool:
        """Whether the key of this id still opens anything, and this too; for what goes on between its requests."""
        if id_ == LOCAL.id:
            return self.kind == "none" and scope in LOCAL.scopes
        if id_ == _ENVIRONMENT.id:
            return self._digest is not None
        stored = self._stored.get(id_)
        return stored is not None and stored.status(self._now()) == "active" and scope in stored.key.scopes

    def current(self, id_: str, credential: bytes = b"") -> Key:
        """The key of this id as it stands now, for work that it was let in with before.

        Raises `ApiError` 401 where the key was revoked, has expired, or has another secret than the one with the digest
        `credential`; an empty one is not compared.
        """
        if id_ == LOCAL.id and self.kind == "none":
            return LOCAL
        if id_ == _ENVIRONMENT.id and _is_same(self._digest, credential):
            return _ENVIRONMENT
        stored = self._stored.get(id_)
        if stored is None or not _is_same(stored.digest, credential):
            raise _invalid_key()
        if stored.status(self._now()) == "expired":
            raise _expired_key()
        return stored.key

    def identify(
        self, headers: MultiMapping[str], peer: str | None, *, http_1_0: bool = False, in_query: Sequence[str] = ()
    ) -> Key:
        """The caller's key. Raises `ApiError` 401. `headers` ignores case; `peer` is the address of the socket;
        `in_query` are keys of the query, where the path's dialect has them there."""
        if self._digest is None and not self._any_stored:
            return _local_caller(headers, peer, http_1_0)
        for sent in [*sent_keys(headers), *in_query]:
            if (key := self._known(sent)) is not None:
                return key
        raise _invalid_key()

    def _known(self, sent: str) -> Key | None:
        # Digests have one length and no shared prefix to find out letter by letter.
        found = digest(sent)
        if self._digest is not None and hmac.compare_digest(found, self._digest):
            return replace(_ENVIRONMENT, credential=found)
        stored = self._stored.get(id_of(sent) or "")
        if stored is None or not hmac.compare_digest(found, stored.digest):
            return None
        if stored.status(self._now()) == "expired":
            raise _expired_key()
        return replace(stored.key, credential=found)


def _is_same(known: bytes | None, credential: bytes) -> bool:
    return known is not None and (not credential or hmac.compare_digest(known, credential))


def _invalid_key() -> ApiError:
    return ApiError(401, "authentication_error", "Missing or invalid API key.", code="invalid_api_key")


def _expired_key() -> ApiError:
    return ApiError(401, "authentication_error", "This API key has expired.", code="expired_api_key")


def sent_keys(headers: MultiMapping[str]) -> list[str]:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    found = [bearer.strip()] if scheme.lower() == "bearer" else []
    return found + [headers[name] for name in _KEY_HEADERS if name in headers]


def _local_caller(headers: MultiMapping[str], peer: str | None, http_1_0: bool) -> Key:
    """Direct, from this machine, and not a web page in its browser but this gateway's own: any other carries a foreign
    Host, Origin or Referer, also where it comes from another port of this machine.

    HTTP/1.0 is what nginx speaks when nobody told it otherwise, with no other sign of itself.
    """
    direct = _is_loopback(peer) and not http_1_0 and not any(map(_FORWARDING_HEADER.fullmatch, headers))
    hosts = headers.getall("host", [""])
    pages = [page for name in ("origin", "referer") for page in headers.getall(name, [])]
    own_page = headers.get("sec-fetch-site", "none") in _OWN_PAGES and all(_host_of(page) in hosts for page in pages)
    if direct and own_page and all(map(_is_local_name, hosts)):
        return LOCAL
    raise ApiError(401, "authentication_error", NO_KEY_YET, code="api_key_not_configured")


def _host_of(url: str) -> str:
    """With its port, as it stands there."""
    return url.partition("://")[2].partition("/")[0]


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
