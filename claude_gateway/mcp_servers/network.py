"""Servers of the network, reached by HTTP: at public addresses alone, with nothing of this gateway's own.

The address is judged where the connection is made: the name is looked up here, and the connection goes to the very
address that was judged, under the server's name. So neither a name that resolves anew nor a redirect leads around it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import Any

import httpx2

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.flood import Gauge
from claude_gateway.public_addresses import is_public

_CONNECT_SECONDS = 10.0
_GOODBYE_SECONDS = 2.0
_NO_ENTRY = (401, 403)
_ONE_ANSWER = b"\n" * 10
_NOT_REACHED = "it could not be reached"


class NotReached(Exception):
    """In words for the caller: not why, for that would tell him what the network inside looks like."""


def may_be_reached(address: str, port: int, *, private: bool) -> bool:
    """Also where private addresses are allowed, none of those at which a cloud keeps its secrets."""
    if not private:
        return is_public(address, port)
    return not ip_address(address.partition("%")[0]).is_link_local


def is_of_the_network(error: BaseException) -> bool:
    return isinstance(error, OSError | httpx2.TransportError)


async def http_client(bounds: Bounds, gauge: Gauge, *, private: bool) -> Any:
    """What makes the client of one connection, as the `mcp` package wants it."""
    # Reading certificates and loading what is needed takes a while.
    inner = await asyncio.to_thread(httpx2.AsyncHTTPTransport, trust_env=False)

    def make(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001 - the package's idea; ours are in the bounds
        auth: httpx2.Auth | None = None,  # noqa: ARG001
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={"Accept-Encoding": "identity", "User-Agent": "claude-gateway", **(headers or {})},
            # A stream may be silent for long; every request has its deadline where it is made.
            timeout=httpx2.Timeout(_CONNECT_SECONDS, read=None),
            transport=Transport(inner, bounds.message_bytes, gauge, private=private),
            trust_env=False,
        )

    return make


class Transport(httpx2.AsyncBaseTransport):
    """Around `inner`: where it goes is judged, what comes back is bounded."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, longest: int, gauge: Gauge, *, private: bool) -> None:
        self._inner = inner
        self._longest = longest
        self._gauge = gauge
        self._private = private

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._gauge.take(_ONE_ANSWER)  # a stream that ends at once is asked for again
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        # The headers name the host as they did, and TLS asks for its certificate.
        judged = httpx2.Request(
            request.method,
            request.url.copy_with(host=await self._address(host, port)),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        seconds = _GOODBYE_SECONDS if request.method == "DELETE" else None
        async with asyncio.timeout(seconds):
            response = await self._inner.handle_async_request(judged)
        if response.status_code in _NO_ENTRY:
            await response.aclose()
            raise NotReached(f"it refuses with status {response.status_code}; see to the headers")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise NotReached("it packs what it answers, though it was asked not to")
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            stream = _Watched(response.stream, self._gauge.take)  # events are bounded one by one
        else:
            stream = _Watched(response.stream, _Allowance(self._longest).take)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _address(self, host: str, port: int) -> str:
        """Where to connect. Raises `NotReached`."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotReached(_NOT_REACHED) from None
        addresses = [str(address[0]) for *_, address in found]
        if not addresses or not all(may_be_reached(one, port, private=self._private) for one in addresses):
            raise NotReached(_NOT_REACHED)
        return addresses[0]


class _Allowance:
    """Of so many bytes."""

    def __init__(self, longest: int) -> None:
        self._left = longest

    def take(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise NotReached("it answered more than MCP_MESSAGE_MIB")


class _Watched(httpx2.AsyncByteStream):
    """`take` sees each piece before it is passed on, and may raise."""

    def __init__(self, inner: Any, take: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._take = take

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._take(piece)
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
