"""HTTP transport for MCP servers. It checks the servers' addresses and sends no credentials of the gateway.

Unless the operator allows private addresses, the transport connects only to public addresses.

For each request, the transport resolves the host name itself, checks the addresses, and connects to one of the checked
addresses. Therefore neither DNS rebinding nor a redirect bypasses the check.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2

from claude_gateway.mcp_servers.inbound_limit import InboundLimiter
from claude_gateway.mcp_servers.message_scan import EventScanner, MessageScanner
from claude_gateway.net.public_ip import is_address_allowed

_CONNECT_TIMEOUT_SECONDS = 10.0
_DELETE_TIMEOUT_SECONDS = 2.0
_AUTH_ERROR_STATUSES = (401, 403)
_RESPONSE_CHARGE = b"\n" * 10
_EVENT_STREAM_TYPE = "text/event-stream"
_MAX_ADDRESSES = 4
_NOT_REACHED_REASON = "the server could not be reached"


# Function that resolves a host name to addresses, such as `NameResolver.resolve` for one key.
ResolveHost = Callable[[str], Awaitable[list[str]]]


class TransportFailed(Exception):
    """Raised if the transport fails.

    Clients see the text of the error. Therefore the text does not reveal the structure of the internal network.
    """


def is_network_error(error: BaseException) -> bool:
    """Return whether the network or the HTTP client caused the error."""
    return isinstance(error, OSError | httpx2.TransportError)


async def create_http_client_factory(limiter: InboundLimiter, resolve_host: ResolveHost, *, allow_private: bool) -> Any:
    """Return a function that creates the HTTP client for one connection. The `mcp` package calls this function."""
    # Create the transport in a thread, because loading certificates would block the event loop.
    inner = await asyncio.to_thread(httpx2.AsyncHTTPTransport, trust_env=False)

    def make(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001 - the gateway has its own timeouts (`McpLimits`)
        auth: httpx2.Auth | None = None,  # noqa: ARG001
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={"Accept-Encoding": "identity", "User-Agent": "claude-gateway", **(headers or {})},
            # Set no read timeout, because a stream may be silent for a long time. `McpConnection` sets a deadline for
            # every request.
            timeout=httpx2.Timeout(_CONNECT_TIMEOUT_SECONDS, read=None),
            transport=RestrictedTransport(inner, limiter, resolve_host, allow_private=allow_private),
            trust_env=False,
        )

    return make


class RestrictedTransport(httpx2.AsyncBaseTransport):
    """Transport that checks the addresses of requests and limits the size of responses.

    Args:
        inner: Transport that sends the requests.
        limiter: Limits the data that the server may send.
        resolve_host: Resolves host names.
        allow_private: Whether the server may have a private address.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        limiter: InboundLimiter,
        resolve_host: ResolveHost,
        *,
        allow_private: bool,
    ) -> None:
        self._inner = inner
        self._limiter = limiter
        self._resolve_host = resolve_host
        self._allow_private = allow_private

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Raises `TransportFailed` for a forbidden address or an unusable response."""
        # Count a fixed amount of data for each response, so that endless retries exceed the limit. The `mcp` package
        # retries a stream that ends at once.
        self._limiter.count_data(_RESPONSE_CHARGE)
        timeout_seconds = _DELETE_TIMEOUT_SECONDS if request.method == "DELETE" else None
        async with asyncio.timeout(timeout_seconds):
            response = await self._send(request)
        if response.status_code in _AUTH_ERROR_STATUSES:
            await response.aclose()
            raise TransportFailed(
                f"the server rejected the credentials with status {response.status_code}; check the headers"
            )
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise TransportFailed("the server compressed its response although the request forbids it")
        headers = httpx2.Headers(response.headers)
        limiter = self._limiter
        scanner_args = (limiter.limits, limiter.raise_exceeded, limiter.count_values)
        if headers.get("Content-Type", "").strip().lower().startswith(_EVENT_STREAM_TYPE):
            headers["Content-Type"] = f"{_EVENT_STREAM_TYPE}; charset=utf-8"  # the encoding that the scanner assumes
            stream = _ScannedStream(response.stream, limiter.count_data, EventScanner(*scanner_args).feed)
        else:  # do not count lines, because a JSON body may be formatted with one line for each value
            stream = _ScannedStream(response.stream, MessageScanner(*scanner_args).feed)
        return httpx2.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request to the first address of the host that accepts a connection. Raises `TransportFailed`."""
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        *others, last = await self._resolve(host, port)
        for address in others:
            try:
                return await self._inner.handle_async_request(_with_address(request, host, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_with_address(request, host, last))

    async def _resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses to connect to. Raises `TransportFailed` if any address of the host is forbidden."""
        try:
            addresses = await self._resolve_host(host)
        except OSError:
            raise TransportFailed(_NOT_REACHED_REASON) from None
        if not addresses or not all(
            is_address_allowed(address, port, allow_private=self._allow_private) for address in addresses
        ):
            raise TransportFailed(_NOT_REACHED_REASON)
        return addresses[:_MAX_ADDRESSES]


def _with_address(request: httpx2.Request, host: str, address: str) -> httpx2.Request:
    """Return a copy of a request that connects to one given address of the host.

    The headers still contain the name of the host, and TLS verifies the certificate for this name.
    """
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


class _ScannedStream(httpx2.AsyncByteStream):
    """Byte stream that passes each chunk to all scanners before it passes the chunk to the reader.

    A scanner raises an error if the data exceeds a limit.
    """

    def __init__(self, inner: Any, *scanners: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._scanners = scanners

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            for scan in self._scanners:
                scan(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
