"""Fetcher for the URLs in client requests. It connects only to public addresses, within limits of size and time.

The fetcher checks the address of each connection when it creates the socket, so a client cannot bypass the check by DNS
rebinding or by a redirect. The fetcher sends no cookies or keys. It ignores the proxy settings and the `.netrc` file in
the environment of the gateway.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext, create_default_context
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content.media import check_url
from claude_gateway.net.name_resolver import NameResolver
from claude_gateway.net.public_ip import is_public

_log = logging.getLogger(__name__)

_DEFAULT_TIMEOUT_SECONDS = 15.0
_CONNECT_TIMEOUT_SECONDS = 5.0
_MAX_HOPS = 4
_MAX_CONNECTIONS_PER_KEY = 16
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_HEADERS = {
    "Accept": "image/*, application/pdf, text/plain",
    # The server must not compress the body, because a compressed body may expand to a thousand times its size.
    "Accept-Encoding": "identity",
    "User-Agent": "claude-gateway",
}


class FetchError(Exception):
    """Error for a URL that the gateway could not fetch.

    The error contains no reason, because the reason could tell the client about the internal network.
    """


class FetchTooLargeError(Exception):
    """Error for a fetch that would exceed the number of bytes that the gateway may fetch for the request."""


class FetchBudget:
    """Counter for the bytes that the gateway may still fetch for one request, for all URLs in it together."""

    def __init__(self, max_bytes: int) -> None:
        self.remaining_bytes = max_bytes

    def spend(self, size_bytes: int) -> None:
        """Subtract fetched bytes from the budget.

        Raises:
            FetchTooLargeError: The gateway has fetched more bytes than the budget allows.
        """
        self.remaining_bytes -= size_bytes
        if self.remaining_bytes < 0:
            raise FetchTooLargeError


@dataclass(slots=True)
class _KeySession:
    """HTTP session that all fetches for one key share, and the number of fetches that use it now."""

    session: aiohttp.ClientSession
    user_count: int = 0


class _KeyResolver(AbstractResolver):
    """DNS resolver for the HTTP session of one key. It applies the lookup limits of this key."""

    def __init__(self, name_resolver: NameResolver, key_id: str) -> None:
        self._name_resolver = name_resolver
        self._key_id = key_id

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return all addresses of a host.

        This method does not check the addresses. `Fetcher` checks an address when it creates the socket for it.
        """
        addresses = await self._name_resolver.resolve(self._key_id, host)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=address_family, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in addresses
            for address_family in [socket.AF_INET6 if ":" in address else socket.AF_INET]
            if family in (address_family, socket.AF_UNSPEC)
        ]

    async def close(self) -> None:
        """Do nothing, because other keys use the same name resolver."""


class Fetcher:
    """Fetches URLs for clients.

    Each key has its own connections and lookups, so that slow servers of one key do not delay the fetches for other
    keys.

    Args:
        name_resolver: Resolves host names; None for a new resolver with the default limits.
        is_allowed: Returns whether the fetcher may connect to an address and a port.
        ssl_context: TLS context; None to trust the certificate authorities of the operating system.
        timeout_seconds: Time limit for each URL, including redirects.
    """

    def __init__(
        self,
        name_resolver: NameResolver | None = None,
        is_allowed: Callable[[str, int], bool] = is_public,
        ssl_context: SSLContext | None = None,
        timeout_seconds: float = _DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        self._name_resolver = name_resolver or NameResolver()
        self._is_allowed = is_allowed
        self._ssl_context = ssl_context
        self._timeout_seconds = timeout_seconds
        self._sessions: dict[str, _KeySession] = {}

    async def fetch(self, url: str, budget: FetchBudget, key_id: str) -> bytes:
        """Fetch a URL for a key, and follow at most three redirects.

        Returns:
            The body of the response.

        Raises:
            FetchError: The gateway could not fetch the URL.
            FetchTooLargeError: The body exceeds the budget.
        """
        if self._ssl_context is None:  # in a thread, because loading certificates would block the event loop
            self._ssl_context = await asyncio.to_thread(create_default_context)
        try:
            async with asyncio.timeout(self._timeout_seconds), self._open_session(key_id, self._ssl_context) as session:
                return await self._follow_redirects(session, url, budget)
        except (aiohttp.ClientError, ApiError, OSError, ValueError) as error:
            _log.info("fetching from %s failed: %s", urlsplit(url).hostname, type(error).__name__)
            raise FetchError from None

    @asynccontextmanager
    async def _open_session(self, key_id: str, ssl_context: SSLContext) -> AsyncIterator[aiohttp.ClientSession]:
        """Yield the HTTP session of a key.

        The first fetch for the key creates the session, and the last fetch that uses the session closes it.
        """
        shared = self._sessions.get(key_id)
        if shared is None:
            shared = self._sessions[key_id] = _KeySession(self._create_session(key_id, ssl_context))
        shared.user_count += 1
        try:
            yield shared.session
        finally:
            shared.user_count -= 1
            if not shared.user_count:
                del self._sessions[key_id]
                await shared.session.close()

    async def _follow_redirects(self, session: aiohttp.ClientSession, url: str, budget: FetchBudget) -> bytes:
        for _ in range(_MAX_HOPS):
            check_url(url, "")
            async with session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECT_STATUSES:
                    return await _read_body(response, budget)
                url = urljoin(url, response.headers.get("Location", ""))
        raise FetchError

    def _create_session(self, key_id: str, ssl_context: SSLContext) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=_MAX_CONNECTIONS_PER_KEY,
            resolver=_KeyResolver(self._name_resolver, key_id),
            socket_factory=self._create_socket,
            ssl=ssl_context,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_TIMEOUT_SECONDS),
        )

    def _create_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Check the address of a connection, and create the socket for the connection.

        Raises:
            OSError: The address is not allowed.
        """
        family, kind, protocol, _, (host, port, *_) = address
        if not self._is_allowed(host, port):
            raise OSError("not a public address")
        return socket.socket(family, kind, protocol)


async def _read_body(response: aiohttp.ClientResponse, budget: FetchBudget) -> bytes:
    if response.status != 200 or response.headers.get("Content-Encoding", "identity") != "identity":
        raise FetchError
    if (response.content_length or 0) > budget.remaining_bytes:
        raise FetchTooLargeError
    body = bytearray()
    async for chunk in response.content.iter_any():
        budget.spend(len(chunk))
        body += chunk
    return bytes(body)
