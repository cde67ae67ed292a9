"""Two listeners on loopback that see what a client does: one stands between it and the gateway, the other is the
proxy that all else must go through, and lets nothing out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

# What belongs to one connection and not to what it carries.
_OF_THE_CONNECTION = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"})
_MOST_OF_AN_ERROR = 600


@dataclass(slots=True)
class Exchange:
    """One request as the client sent it, and how it was answered; `error` is the body of a refusal."""

    method: str
    path: str
    body: Any
    status: int = 0
    error: str = ""

    @property
    def streamed(self) -> bool:
        """Whether it asked for a stream, in any dialect's way."""
        return ":streamGenerateContent" in self.path or (isinstance(self.body, dict) and bool(self.body.get("stream")))


@dataclass(slots=True)
class Witness:
    """`url` is what clients are told; `exchanges` is what they did, `strays` where else they wanted to go."""

    url: str = ""
    proxy: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)

    def forget(self) -> None:
        self.exchanges.clear()
        self.strays.clear()


@asynccontextmanager
async def witness(gateway: str) -> AsyncIterator[Witness]:
    """Both listeners for the length of a `with`."""
    seen = Witness()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode(errors="replace").split()
        seen.strays.append(line[1] if len(line) > 1 else "something unreadable")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with aiohttp.ClientSession(auto_decompress=False, trust_env=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            return await _forward(request, session, gateway, seen)

        app = web.Application(client_max_size=1 << 28)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        seen.url = "http://{}:{}".format(*runner.addresses[0][:2])
        try:
            async with await asyncio.start_server(refuse, "127.0.0.1", 0) as door:
                seen.proxy = "http://{}:{}".format(*door.sockets[0].getsockname()[:2])
                yield seen
        finally:
            await runner.cleanup()


async def _forward(
    request: web.Request, session: aiohttp.ClientSession, gateway: str, seen: Witness
) -> web.StreamResponse:
    raw = await request.read()
    exchange = Exchange(request.method, request.path_qs, _json(raw))
    seen.exchanges.append(exchange)
    async with session.request(
        request.method, gateway + request.raw_path, data=raw, headers=_kept(request.headers), allow_redirects=False
    ) as answer:
        exchange.status = answer.status
        if answer.status >= 400:
            exchange.error = (await answer.text())[:_MOST_OF_AN_ERROR]
        response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
        await response.prepare(request)
        if answer.status >= 400:
            await response.write(await answer.read())
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


def _kept(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in _OF_THE_CONNECTION]


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
