"""The application on its socket: it accepts, and in the end it lets what runs finish."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from claude_gateway.daemon.listener import BACKLOG, Listener
from claude_gateway.web.connection import factory
from claude_gateway.web.parts import PARTS, Parts

_log = logging.getLogger(__name__)

# Once its job was ended, an answer needs this long at most to say so.
_LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work behind the application ends. `hurry` is set when what runs is not waited for any longer."""

    refuse_waiting: Callable[[float], None]
    stop_work: Callable[[], Awaitable[None]]
    hurry: asyncio.Event


@asynccontextmanager
async def accepting(app: web.Application, listener: Listener, ending: Ending) -> AsyncIterator[None]:
    """Callers are answered for the length of a `with`. Leaving it drains: no job begins any more, running answers have
    `DRAIN_SECONDS`, and what is not done then ends with an error of its own."""
    parts = app[PARTS]
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_LAST_WORDS_SECONDS)
    await runner.setup()
    assert runner.server is not None
    connections = runner.server.connections
    parts.metrics.connections = lambda: len(connections)
    server = await asyncio.get_running_loop().create_server(
        factory(runner.server, parts.settings.max_connections, lambda: parts.settings.proxies),
        sock=listener.socket,
        backlog=BACKLOG,
    )
    try:
        yield
    finally:
        parts.drain.begin(_now() + parts.settings.drain_seconds, hands_over=listener.is_kept)
        if listener.is_kept:
            server.close()  # our copy of it; who connects from now on is the next gateway's
        await _finish(parts, ending)
        server.close()
        await runner.cleanup()


async def _finish(parts: Parts, ending: Ending) -> None:
    ending.refuse_waiting(parts.drain.retry_after)
    parts.sessions.refuse_waiting(parts.drain.retry_after)
    finished = asyncio.create_task(_finished(parts))
    hurried = asyncio.create_task(ending.hurry.wait())
    await asyncio.wait({finished, hurried}, timeout=parts.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not finished.done():
        _log.warning("running answers are ended unfinished")
        await parts.background.close()
        await ending.stop_work()
        await asyncio.wait({finished}, timeout=_LAST_WORDS_SECONDS)
    finished.cancel()
    with suppress(asyncio.CancelledError):
        await finished


async def _finished(parts: Parts) -> None:
    await parts.drain.quiet()
    await parts.background.quiet()


def _now() -> float:
    return asyncio.get_running_loop().time()
