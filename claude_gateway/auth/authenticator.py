"""Determines the API key of a request from the request's headers and the address of its connection."""

import hmac
import ipaddress
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from multidict import MultiMapping

from claude_gateway.auth.key_format import hash_secret, parse_key_id
from claude_gateway.auth.models import LOCAL_KEY, NO_API_KEY_MESSAGE, ApiKey, StoredKey
from claude_gateway.core.errors import ApiError

_KEY_HEADERS = ("x-api-key", "x-goog-api-key")
# Any of these headers shows that a proxy passed the request on, so the peer's address is not the address of the client.
_FORWARDING_HEADER = re.compile(
    r"forwarded|via|x-forwarded.*|x-original.*|x-.*-ip|x-.*-for|true-client-ip|cf-.*|fastly-.*|tailscale-.*",
    re.IGNORECASE,
)
_OWN_FETCH_SITES = ("same-origin", "none")

_ENVIRONMENT_KEY = ApiKey("environment")


class KeySource(Protocol):
    """Interface through which the authenticator reads the stored API keys."""

    @property
    def version(self) -> object:
        """Value that changes whenever any process changes a key. Reading the value is cheap."""
        ...

    async def load_active_keys(self) -> tuple[bool, Sequence[StoredKey]]:
        """Return whether a key was ever created, and the keys that are not revoked."""
        ...


class Authenticator:
    """Checks the API keys of requests against the key of the environment and the stored keys.

    If no key was ever created, the authenticator accepts requests on direct connections from the gateway's own machine
    and returns `LOCAL_KEY` for them. After the operator has revoked the last key, the authenticator accepts no request.
    Otherwise a gateway behind a proxy would be open to every client.
    """

    def __init__(
        self,
        api_key: str | None,
        source: KeySource | None = None,
        now: Callable[[], float] = time.time,
        api_key_group: str = "",
    ) -> None:
        self.set_environment_key(api_key, api_key_group)
        self._source = source
        self._now = now
        self._loaded_version: object = None
        self._had_stored_keys = False
        self._stored_keys: Mapping[str, StoredKey] = {}

    def set_environment_key(self, api_key: str | None, group: str = "") -> None:
        """Replace the key that the environment variable `API_KEY` sets, and its group. None removes that key."""
        self._environment_digest = hash_secret(api_key) if api_key else None
        self._environment_key = replace(_ENVIRONMENT_KEY, group=group)

    async def refresh(self) -> None:
        """Load the stored keys again if any process has changed them.

        The gateway calls this method before each call of `authenticate`.
        """
        if self._source is None or (version := self._source.version) == self._loaded_version:
            return
        # Read the version before the keys, so that the next call notices a change that a process makes between the two
        # reads.
        self._had_stored_keys, keys = await self._source.load_active_keys()
        self._stored_keys = {stored.key.id: stored for stored in keys}
        self._loaded_version = version

    @property
    def key_origin(self) -> str:
        """The source of the accepted keys: `environment`, `database`, or `none` if there has never been a key."""
        if self._environment_digest is not None:
            return "environment"
        return "database" if self._had_stored_keys else "none"

    def get_concurrency_limit(self, key_id: str) -> int | None:
        """Return the limit on concurrent jobs that the operator set for this key; None if the key has no such limit."""
        stored = self._stored_keys.get(key_id)
        return stored.key.limits.max_concurrent_jobs if stored else None

    def has_scope(self, key_id: str, scope: str) -> bool:
        """Return whether the key is active now and has the scope.

        Background work calls this method, because such work continues after the request with the key has ended.
        """
        if key_id == LOCAL_KEY.id:
            return self.key_origin == "none" and scope in LOCAL_KEY.scopes
        if key_id == _ENVIRONMENT_KEY.id:
            return self._environment_digest is not None
        stored = self._stored_keys.get(key_id)
        return stored is not None and stored.status(self._now()) == "active" and scope in stored.key.scopes

    def recheck_key(self, key_id: str, credential: bytes = b"") -> ApiKey:
        """Return the key in its present state, for work that an earlier request with this key has started.

        Args:
            key_id: The id of the key.
            credential: Digest of the secret that the earlier request carried. If the digest is empty, the method does
                not compare secrets.

        Raises:
            ApiError: 401 if the key was revoked or has expired, or if its secret was replaced.
        """
        if key_id == LOCAL_KEY.id and self.key_origin == "none":
            return LOCAL_KEY
        if key_id == _ENVIRONMENT_KEY.id and _is_same_digest(self._environment_digest, credential):
            return self._environment_key
        stored = self._stored_keys.get(key_id)
        if stored is None or not _is_same_digest(stored.digest, credential):
            raise _invalid_key_error()
        if stored.status(self._now()) == "expired":
            raise _expired_key_error()
        return stored.key

    def authenticate(
        self, headers: MultiMapping[str], peer: str | None, *, is_http_1_0: bool = False, query_keys: Sequence[str] = ()
    ) -> ApiKey:
        """Return the key with which the client sent the request.

        Args:
            headers: Headers of the request; the mapping ignores case.
            peer: Address of the other end of the socket.
            is_http_1_0: Whether the request came over HTTP/1.0.
            query_keys: Keys from the query string. They are empty unless clients of the path's dialect send the key
                there.

        Raises:
            ApiError: 401 if the request has no valid key.
        """
        if self._environment_digest is None and not self._had_stored_keys:
            return _authenticate_local_client(headers, peer, is_http_1_0)
        for secret in [*extract_api_keys(headers), *query_keys]:
            if (key := self._find_key(secret)) is not None:
                return key
        raise _invalid_key_error()

    def _find_key(self, secret: str) -> ApiKey | None:
        # Compare digests, because all digests have the same length and a matching prefix of a digest reveals no letter
        # of the secret.
        digest = hash_secret(secret)
        if self._environment_digest is not None and hmac.compare_digest(digest, self._environment_digest):
            return replace(self._environment_key, credential=digest)
        stored = self._stored_keys.get(parse_key_id(secret) or "")
        if stored is None or not hmac.compare_digest(digest, stored.digest):
            return None
        if stored.status(self._now()) == "expired":
            raise _expired_key_error()
        return replace(stored.key, credential=digest)


def _is_same_digest(known_digest: bytes | None, credential: bytes) -> bool:
    return known_digest is not None and (not credential or hmac.compare_digest(known_digest, credential))


def _invalid_key_error() -> ApiError:
    return ApiError(401, "authentication_error", "Missing or invalid API key.", code="invalid_api_key")


def _expired_key_error() -> ApiError:
    return ApiError(401, "authentication_error", "This API key has expired.", code="expired_api_key")


def extract_api_keys(headers: MultiMapping[str]) -> list[str]:
    """Return the API keys in the headers. The bearer token comes first, then `x-api-key` and `x-goog-api-key`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer_keys = [token.strip()] if scheme.lower() == "bearer" else []
    return bearer_keys + [headers[name] for name in _KEY_HEADERS if name in headers]


def _authenticate_local_client(headers: MultiMapping[str], peer: str | None, is_http_1_0: bool) -> ApiKey:
    """Return `LOCAL_KEY` for a direct connection from this machine, except for requests from foreign web pages.

    The gateway accepts requests that its own pages send. A request from a page of any other origin has a foreign Host,
    Origin or Referer header, even if another port of this machine served that page.

    The gateway rejects HTTP/1.0. When nginx is a proxy, it uses HTTP/1.0 by default and sends no other sign that it is
    a proxy.
    """
    is_direct = _is_loopback_address(peer) and not is_http_1_0 and not any(map(_FORWARDING_HEADER.fullmatch, headers))
    hosts = headers.getall("host", [""])
    page_urls = [url for name in ("origin", "referer") for url in headers.getall(name, [])]
    is_same_origin = headers.get("sec-fetch-site", "none") in _OWN_FETCH_SITES and all(
        _extract_netloc(url) in hosts for url in page_urls
    )
    if is_direct and is_same_origin and all(map(_is_local_host, hosts)):
        return LOCAL_KEY
    raise ApiError(401, "authentication_error", NO_API_KEY_MESSAGE, code="api_key_not_configured")


def _extract_netloc(url: str) -> str:
    """Return the host and port of a URL without changing their spelling."""
    return url.partition("://")[2].partition("/")[0]


def _is_local_host(netloc: str) -> bool:
    try:
        host = urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return False
    return "@" not in netloc and (host == "localhost" or _is_loopback_address(host))


def _is_loopback_address(address: str | None) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
