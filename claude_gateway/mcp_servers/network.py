"""Servers of the network, reached by HTTP: at public addresses alone, with nothing of this gateway's own.

The address is judged where the connection is made: the name is looked up here, and the connection goes to the very
address that was judged, under the server's name. So neither a name that resolves anew nor a redirect leads around it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2

from claude_gateway.mcp_servers.flood import Gauge
from claude_gateway.mcp_servers.message_scan import EventScan, MessageScan
from claude_gateway.public_addresses import may_connect

_CONNECT_SECONDS = 10.0
_GOODBYE_SECONDS = 2.0
_NO_ENTRY = (401, 403)
_ONE_ANSWER = b"\n" * 10
_EVENTS = "text/event-stream"
_MAX_ADDRESSES = 4
_NOT_REACHED = "it could not be reached"


# The addresses of a host, as `NameResolver.addresses` finds them for one key.
LookUp = Callable[[str], Awaitable[list[str]]]


class NotReached(Exception):
    """In words for the caller: not why, for that would tell him what the network inside looks like."""


def is_of_the_network(error: BaseException) -> bool:
    return isinstance(error, OSError | httpx2.TransportError)


async def http_client(gauge: Gauge, look_up: LookUp, *, private: bool) -> Any:
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
            transport=Transport(inner, gauge, look_up, private=private),
            trust_env=False,
        )

    return make


class Transport(httpx2.AsyncBaseTransport):
    """Around `inner`: where it goes is judged, what comes back is bounded."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, gauge: Gauge, look_up: LookUp, *, private: bool) -> None:
        self._inner = inner
        self._gauge = gauge
        self._look_up = look_up
        self._private = private

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._gauge.take(_ONE_ANSWER)  # a stream that ends at once is asked for again
        seconds = _GOODBYE_SECONDS if request.method == "DELETE" else None
        async with asyncio.timeout(seconds):
            response = await self._sent(request)
        if response.status_code in _NO_ENTRY:
            await response.aclose()
            raise NotReached(f"it refuses with status {response.status_code}; see to the headers")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise NotReached("it packs what it answers, though it was asked not to")
        headers = httpx2.Headers(response.headers)
        bounds, refuse, count = self._gauge.bounds, self._gauge.refuse, self._gauge.count_values
        if headers.get("Content-Type", "").strip().lower().startswith(_EVENTS):
            headers["Content-Type"] = f"{_EVENTS}; charset=utf-8"  # read as it was scanned
            stream = _Watched(response.stream, self._gauge.take, EventScan(bounds, refuse, count).take)
        else:  # which may be written in as many lines as it has values
            stream = _Watched(response.stream, MessageScan(bounds, refuse, count).take)
        return httpx2.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        """To the first of the host's addresses that takes a connection. Raises `NotReached`."""
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        *others, last = await self._addresses(host, port)
        for address in others:
            try:
                return await self._inner.handle_async_request(_addressed(request, host, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_addressed(request, host, last))

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Where to connect. Raises `NotReached`, also where only some of them may be reached."""
        try:
            found = await self._look_up(host)
        except OSError:
            raise NotReached(_NOT_REACHED) from None
        if not found or not all(may_connect(one, port, private=self._private) for one in found):
            raise NotReached(_NOT_REACHED)
        return found[:_MAX_ADDRESSES]


def _addressed(request: httpx2.Request, host: str, address: str) -> httpx2.Request:
    """The headers name the host as they did, and TLS asks for its certificate."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


class _Watched(httpx2.AsyncByteStream):
    """Each of `takes` sees each piece before it is passed on, and may raise."""

    def __init__(self, inner: Any, *takes: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._takes = takes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            for take in self._takes:
                take(piece)
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
