"""Fetching from a stranger's server because a caller said so: bounded, and never from the network inside.

Each address is judged where the socket to it is made, so neither a name that resolves anew nor a redirect leads around
it. Nothing of this gateway goes along: no cookie, no key, no proxy or `.netrc` of its environment.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from ssl import SSLContext, create_default_context
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from claude_gateway.errors import ApiError
from claude_gateway.prompt.media import check_url
from claude_gateway.public_addresses import is_public

_log = logging.getLogger(__name__)

_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_MOST_HOPS = 4
_MOST_CONNECTIONS = 16
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


class Fetcher:
    """`allowed` says of an address and a port whether to connect there; `seconds` bounds each URL, redirects included.
    Tests allow, resolve and trust otherwise."""

    def __init__(
        self,
        allowed: Callable[[str, int], bool] = is_public,
        resolver: AbstractResolver | None = None,
        tls: SSLContext | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._tls = tls
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, budget: Budget) -> bytes:
        """The body of the answer, after a few redirects at most. Raises `NotFetched`, or `TooMuch`."""
        self._session = self._session or self._connect()
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(self._session, url, budget)
        except (aiohttp.ClientError, ApiError, OSError, ValueError) as error:
            _log.info("nothing was fetched from %s: %s", urlsplit(url).hostname, type(error).__name__)
            raise NotFetched from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _follow(self, session: aiohttp.ClientSession, url: str, budget: Budget) -> bytes:
        for _ in range(_MOST_HOPS):
            check_url(url, "")
            async with session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await _read(response, budget)
                url = urljoin(url, response.headers.get("Location", ""))
        raise NotFetched

    def _connect(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=_MOST_CONNECTIONS,
            resolver=self._resolver or aiohttp.ThreadedResolver(),
            socket_factory=self._socket,
            ssl=self._tls or create_default_context(),
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
