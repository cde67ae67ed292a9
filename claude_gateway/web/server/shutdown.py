"""Function that serves the application and shuts it down. Running jobs may finish within the drain timeout."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from claude_gateway.runtime.listen_socket import BACKLOG, Listener
from claude_gateway.web.context.state import STATE, AppState
from claude_gateway.web.server.connection import create_connection_factory
from workers.core.event_loop import loop_time

_log = logging.getLogger(__name__)

# After the gateway has stopped the running jobs, it waits at most this long for the clients to receive the error.
_FINAL_RESPONSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ShutdownActions:
    """Actions by which the server stops the services behind the application during the shutdown.

    Attributes:
        reject_waiting: Rejects all waiting jobs. Its argument is the `Retry-After` for the clients in seconds.
        stop_jobs: Stops all running jobs.
        force_shutdown: Event that is set if the gateway must not wait for running jobs any longer.
    """

    reject_waiting: Callable[[float], None]
    stop_jobs: Callable[[], Awaitable[None]]
    force_shutdown: asyncio.Event


@asynccontextmanager
async def serve_app(app: web.Application, listener: Listener, actions: ShutdownActions) -> AsyncIterator[None]:
    """Serve the application while a `with` block runs.

    After the block, the gateway shuts down. It starts no further jobs, and running jobs may continue for
    `DRAIN_TIMEOUT_SECONDS`. Then the gateway ends the jobs that are still running with an error.
    """
    state = app[STATE]
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_FINAL_RESPONSE_SECONDS)
    await runner.setup()
    assert runner.server is not None
    factory = create_connection_factory(
        runner.server, state.settings.max_connections, lambda: state.settings.trusted_proxy_networks
    )
    state.metrics.count_connections = lambda: len(factory.shares)
    server = await asyncio.get_running_loop().create_server(factory, sock=listener.socket, backlog=BACKLOG)
    try:
        yield
    finally:
        state.shutdown.begin(loop_time() + state.settings.drain_timeout_seconds, is_handover=listener.is_inherited)
        if listener.is_inherited:
            server.close()  # closes the socket in this process only: the next gateway process accepts new connections
        await _shut_down(state, actions)
        server.close()
        await runner.cleanup()


async def _shut_down(state: AppState, actions: ShutdownActions) -> None:
    actions.reject_waiting(state.shutdown.retry_after)
    state.sessions.reject_waiters(state.shutdown.retry_after)
    idle = asyncio.create_task(_wait_idle(state))
    forced = asyncio.create_task(actions.force_shutdown.wait())
    await asyncio.wait(
        {idle, forced}, timeout=state.settings.drain_timeout_seconds, return_when=asyncio.FIRST_COMPLETED
    )
    forced.cancel()
    if not idle.done():
        _log.warning("the drain timeout has passed or the shutdown is forced: stopping all running jobs")
        await state.background_responses.close()
        await actions.stop_jobs()
        await asyncio.wait({idle}, timeout=_FINAL_RESPONSE_SECONDS)
    idle.cancel()
    with suppress(asyncio.CancelledError):
        await idle


async def _wait_idle(state: AppState) -> None:
    await state.shutdown.wait_idle()
    await state.background_responses.wait_idle()
