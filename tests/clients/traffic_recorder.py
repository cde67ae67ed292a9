"""Record the traffic of a client with two servers on loopback.

One server forwards requests to the gateway. The other is the proxy for all other hosts, and rejects every request.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

# Headers of a connection, not of the message on it.
_HOP_BY_HOP_HEADERS = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"})
_MAX_ERROR_CHARS = 600


@dataclass(slots=True)
class Exchange:
    """A request as the client sent it, and the status of its response. `error` is the body of a rejection."""

    method: str
    path: str
    body: Any
    status: int = 0
    error: str = ""

    @property
    def is_stream(self) -> bool:
        """Whether the request asks for a stream, in any dialect."""
        return ":streamGenerateContent" in self.path or (isinstance(self.body, dict) and bool(self.body.get("stream")))


@dataclass(slots=True)
class TrafficRecorder:
    """The recorded traffic.

    Attributes:
        url: The address that clients use instead of that of the gateway.
        proxy_url: The address of the proxy that rejects every request.
        exchanges: The requests to the gateway.
        contacted_hosts: Other hosts that the client tried to contact.
    """

    url: str = ""
    proxy_url: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    contacted_hosts: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.exchanges.clear()
        self.contacted_hosts.clear()


@asynccontextmanager
async def run_traffic_recorder(gateway_url: str) -> AsyncIterator[TrafficRecorder]:
    """Run both servers."""
    recorder = TrafficRecorder()

    async def reject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode(errors="replace").split()
        recorder.contacted_hosts.append(line[1] if len(line) > 1 else "an unreadable address")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with aiohttp.ClientSession(auto_decompress=False, trust_env=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            return await _forward(request, session, gateway_url, recorder)

        app = web.Application(client_max_size=1 << 28)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        recorder.url = "http://{}:{}".format(*runner.addresses[0][:2])
        try:
            async with await asyncio.start_server(reject, "127.0.0.1", 0) as proxy:
                recorder.proxy_url = "http://{}:{}".format(*proxy.sockets[0].getsockname()[:2])
                yield recorder
        finally:
            await runner.cleanup()


async def _forward(
    request: web.Request, session: aiohttp.ClientSession, gateway_url: str, recorder: TrafficRecorder
) -> web.StreamResponse:
    raw = await request.read()
    exchange = Exchange(request.method, request.path_qs, _parse_json(raw))
    recorder.exchanges.append(exchange)
    async with session.request(
        request.method,
        gateway_url + request.raw_path,
        data=raw,
        headers=_end_to_end_headers(request.headers),
        allow_redirects=False,
    ) as gateway_response:
        exchange.status = gateway_response.status
        if gateway_response.status >= 400:
            exchange.error = (await gateway_response.text())[:_MAX_ERROR_CHARS]
        response = web.StreamResponse(
            status=gateway_response.status, headers=_end_to_end_headers(gateway_response.headers)
        )
        await response.prepare(request)
        if gateway_response.status >= 400:
            await response.write(await gateway_response.read())
        async for piece in gateway_response.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


def _end_to_end_headers(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP_HEADERS]


def _parse_json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
