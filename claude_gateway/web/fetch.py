"""Fetching from a stranger's server because a caller said so: bounded, and never from the network inside.

Each address is judged where the socket to it is made, so neither a name that resolves anew nor a redirect leads around
it. Nothing of this gateway goes along: no cookie, no key, no proxy or `.netrc` of its environment.
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

from claude_gateway.errors import ApiError
from claude_gateway.name_resolver import NameResolver
from claude_gateway.prompt.media import check_url
from claude_gateway.public_addresses import is_public

_log = logging.getLogger(__name__)

_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_MOST_HOPS = 4
_CONNECTIONS_OF_A_KEY = 16
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {
    "Accept": "image/*, application/pdf, text/plain",
    # Unpacking what a stranger sends costs a thousand times its size.
    "Accept-Encoding": "identity",
    "User-Agent": "claude-gateway",
}


class NotFetched(Exception):
    """For whatever reason. A caller is not told which: it would tell him what the network inside looks like."""


class TooMuch(Exception):
    """What was fetched went over its budget."""


class Budget:
    """How many bytes may still be fetched for one request, however many URLs it names."""

    def __init__(self, size: int) -> None:
        self.left = size

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooMuch


@dataclass(slots=True)
class _Session:
    """Of one key: `users` fetch something by it."""

    session: aiohttp.ClientSession
    users: int = 0


class _NamesOfAKey(AbstractResolver):
    """What aiohttp asks where a host is."""

    def __init__(self, names: NameResolver, key: str) -> None:
        self._names = names
        self._key = key

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All of them: each is judged where a socket to it is made."""
        found = await self._names.addresses(self._key, host)
        return [
            ResolveResult(hostname=host, host=one, port=port, family=of, proto=0, flags=socket.AI_NUMERICHOST)
            for one in found
            for of in [socket.AF_INET6 if ":" in one else socket.AF_INET]
            if family in (of, socket.AF_UNSPEC)
        ]

    async def close(self) -> None:
        """Others go on asking."""


class Fetcher:
    """Each key has connections and look-ups of its own: its slow servers hold nobody else up.

    Args:
        names: Looks names up.
        allowed: Says of an address and a port whether to connect there.
        tls: Says whom to trust; None for the authorities of the system.
        seconds: How long each URL may take, redirects included.
    """

    def __init__(
        self,
        names: NameResolver | None = None,
        allowed: Callable[[str, int], bool] = is_public,
        tls: SSLContext | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._names = names or NameResolver()
        self._allowed = allowed
        self._tls = tls
        self._seconds = seconds
        self._sessions: dict[str, _Session] = {}

    async def fetch(self, url: str, budget: Budget, key: str) -> bytes:
        """The body of the answer, after a few redirects at most; `key` is the id of the key that it is fetched for.
        Raises `NotFetched`, or `TooMuch`."""
        if self._tls is None:  # reading certificates takes a while
            self._tls = await asyncio.to_thread(create_default_context)
        try:
            async with asyncio.timeout(self._seconds), self._session(key, self._tls) as session:
                return await self._follow(session, url, budget)
        except (aiohttp.ClientError, ApiError, OSError, ValueError) as error:
            _log.info("nothing was fetched from %s: %s", urlsplit(url).hostname, type(error).__name__)
            raise NotFetched from None

    @asynccontextmanager
    async def _session(self, key: str, tls: SSLContext) -> AsyncIterator[aiohttp.ClientSession]:
        """The one of the key, for as long as it fetches anything."""
        shared = self._sessions.get(key)
        if shared is None:
            shared = self._sessions[key] = _Session(self._connect(key, tls))
        shared.users += 1
        try:
            yield shared.session
        finally:
            shared.users -= 1
            if not shared.users:
                del self._sessions[key]
                await shared.session.close()

    async def _follow(self, session: aiohttp.ClientSession, url: str, budget: Budget) -> bytes:
        for _ in range(_MOST_HOPS):
            check_url(url, "")
            async with session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await _read(response, budget)
                url = urljoin(url, response.headers.get("Location", ""))
        raise NotFetched

    def _connect(self, key: str, tls: SSLContext) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=_CONNECTIONS_OF_A_KEY,
            resolver=_NamesOfAKey(self._names, key),
            socket_factory=self._socket,
            ssl=tls,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS),
        )

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Called for each connection with the very address that it will go to."""
        family, kind, protocol, _, (host, port, *_) = address
        if not self._allowed(host, port):
            raise OSError("not a public address")
        return socket.socket(family, kind, protocol)


async def _read(response: aiohttp.ClientResponse, budget: Budget) -> bytes:
    if response.status != 200 or response.headers.get("Content-Encoding", "identity") != "identity":
        raise NotFetched
    if (response.content_length or 0) > budget.left:
        raise TooMuch
    body = bytearray()
    async for piece in response.content.iter_any():
        budget.spend(len(piece))
        body += piece
    return bytes(body)
