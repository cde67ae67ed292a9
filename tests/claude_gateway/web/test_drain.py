"""Shutdown: running jobs complete or end with an error, and new requests get a time to retry."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from claude_gateway.runtime.listen_socket import Listener, bind_socket
from claude_gateway.runtime.shutdown import GracefulShutdown
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import Database
from claude_gateway.web.context.state import STATE
from claude_gateway.web.server.shutdown import ShutdownActions, serve_app
from tests.claude_gateway.scripted import (
    CHAT_BODY,
    HELLO_EVENTS,
    STREAM_BODY,
    ScriptedWorkerSource,
    build_scripted_app,
    make_settings,
)
from tests.workers.helpers import TIMEOUT_SECONDS, wait_until, with_timeout
from workers.core.errors import ErrorKind, WorkerError


class StoppableGateway:
    """A gateway on a socket of its own that a test can stop.

    Attributes:
        rejections: The `Retry-After` values for waiting jobs.
        jobs_stopped: Set when the gateway stopped the running jobs.
        force_shutdown: Set by a test to force the shutdown.
        on_stop_jobs: Called when the gateway stops the running jobs.
    """

    def __init__(self, worker_source: ScriptedWorkerSource, *, is_inherited: bool, **settings: Any) -> None:
        self.app = build_scripted_app(worker_source, claude_wrapper_host="127.0.0.1", port=0, **settings)
        self.listener = Listener(bind_socket(self.app[STATE].settings), is_inherited)
        self.url = self.listener.url
        self.rejections: list[float] = []
        self.jobs_stopped = asyncio.Event()
        self.force_shutdown = asyncio.Event()
        self.on_stop_jobs: Callable[[], None] = lambda: None
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        async with serve_app(
            self.app, self.listener, ShutdownActions(self.rejections.append, self._stop_jobs, self.force_shutdown)
        ):
            await self._stop.wait()

    async def _stop_jobs(self) -> None:
        self.app[STATE].chat_service.begin_shutdown()
        self.jobs_stopped.set()
        self.on_stop_jobs()

    async def stop(self) -> None:
        self._stop.set()
        await wait_until(lambda: self.app[STATE].shutdown.is_draining)


@asynccontextmanager
async def run_gateway(
    worker_source: ScriptedWorkerSource, *, is_inherited: bool = False, **settings: Any
) -> AsyncIterator[tuple[StoppableGateway, aiohttp.ClientSession, asyncio.Task[None]]]:
    gateway = StoppableGateway(worker_source, is_inherited=is_inherited, **settings)
    server_task = asyncio.create_task(gateway.serve())
    async with aiohttp.ClientSession(gateway.url) as session:
        yield gateway, session, server_task
        gateway.force_shutdown.set()
        await gateway.stop()
        await server_task
    gateway.listener.socket.close()


@pytest.mark.promise("stop.drains")
async def test_running_stream_completes_and_new_requests_get_a_time_to_retry() -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource([[*HELLO_EVENTS[:3], resume, *HELLO_EVENTS[3:]]])
    async with run_gateway(worker_source, drain_timeout_seconds=20) as (gateway, session, server_task):
        async with session.post("/v1/chat/completions", json=STREAM_BODY) as stream:
            await stream.content.readline()
            await gateway.stop()

            async with session.get("/health/ready") as ready:
                assert (ready.status, (await ready.json())["status"]) == (503, "shutting_down")
                assert ready.headers["Connection"] == "close"
            async with session.get("/health/live") as live:
                assert live.status == 200
            for path, body in (
                ("/v1/chat/completions", CHAT_BODY),
                ("/v1/messages", {**CHAT_BODY, "max_tokens": 5}),
                ("/v1/responses", {"model": CHAT_BODY["model"], "input": "hi", "background": True}),
            ):
                async with session.post(path, json=body) as rejected:
                    assert rejected.status == 503, path
                    assert 1 <= int(rejected.headers["Retry-After"]) <= 22
            resume.set()
            assert (await stream.text()).rstrip().endswith("data: [DONE]")
        await server_task
    assert gateway.rejections
    assert not gateway.jobs_stopped.is_set()
    assert len(worker_source.jobs) == 1


@pytest.mark.promise("stop.drains")
async def test_request_waiting_for_its_session_gets_a_time_to_retry(database: Database) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource([[*HELLO_EVENTS[:3], resume, *HELLO_EVENTS[3:]]])
    locks = SessionLocks(10, TIMEOUT_SECONDS)
    sessions = SessionService(SessionStore(database), make_settings().session_limits(), locks)
    async with run_gateway(worker_source, sessions=sessions, drain_timeout_seconds=20) as (
        gateway,
        session,
        server_task,
    ):
        async with session.post("/v1/chat/completions", json={**STREAM_BODY, "session_id": "s"}) as stream:
            await stream.content.readline()
            waiting = asyncio.create_task(
                session.post("/v1/chat/completions", json={**CHAT_BODY, "session_id": "s"}).__aenter__()
            )
            await wait_until(lambda: vars(locks)["_waiting_counts"].total() == 1)
            await gateway.stop()

            rejected = await with_timeout(waiting)
            assert (rejected.status, (await rejected.json())["error"]["code"]) == (503, "shutting_down")
            assert 1 <= int(rejected.headers["Retry-After"]) <= 22
            resume.set()
            assert (await stream.text()).rstrip().endswith("data: [DONE]")
        await server_task
    assert len(worker_source.jobs) == 1


async def test_unfinished_job_ends_with_an_error() -> None:
    stopped = asyncio.Event()
    failure = WorkerError(ErrorKind.WORKER_EXITED, "The worker ended.")
    worker_source = ScriptedWorkerSource([[*HELLO_EVENTS[:3], stopped, failure], [stopped, failure]])
    async with run_gateway(worker_source, drain_timeout_seconds=0.05) as (gateway, session, server_task):
        gateway.on_stop_jobs = stopped.set  # the exit of the worker
        async with session.post("/v1/chat/completions", json=STREAM_BODY) as stream:
            await stream.content.readline()
            chat = asyncio.create_task(session.post("/v1/chat/completions", json=CHAT_BODY).__aenter__())
            await wait_until(lambda: len(worker_source.jobs) == 2)
            await gateway.stop()
            end = await stream.text()
        assert "The gateway is shutting down." in end
        assert "[DONE]" not in end
        response = await chat
        assert response.status == 503
        assert "Retry-After" in response.headers
        await server_task
    assert gateway.jobs_stopped.is_set()


async def test_forced_shutdown_stops_running_jobs_at_once() -> None:
    stopped = asyncio.Event()
    worker_source = ScriptedWorkerSource(
        [[*HELLO_EVENTS[:3], stopped, WorkerError(ErrorKind.WORKER_EXITED, "The worker ended.")]]
    )
    async with run_gateway(worker_source, drain_timeout_seconds=3600) as (gateway, session, server_task):
        gateway.on_stop_jobs = stopped.set
        async with session.post("/v1/chat/completions", json=STREAM_BODY) as stream:
            await stream.content.readline()
            await gateway.stop()
            gateway.force_shutdown.set()
            assert "The gateway is shutting down." in await stream.text()
        await server_task


async def test_handover_of_the_socket_rejects_no_request() -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    async with run_gateway(worker_source, is_inherited=True, drain_timeout_seconds=20) as (
        gateway,
        session,
        server_task,
    ):
        async with session.get("/health") as before:
            assert before.status == 200
        inherited_socket = gateway.listener.socket.dup()  # as systemd does
        await gateway.stop()
        async with session.post("/v1/chat/completions", json=CHAT_BODY) as connected:
            assert connected.status == 200
            assert connected.headers["Connection"] == "close"
        waiting = asyncio.create_task(session.post("/v1/chat/completions", json=CHAT_BODY).__aenter__())
        await server_task
        assert not waiting.done()

        # The next gateway accepts the connections that waited in the kernel.
        next_gateway = StoppableGateway(ScriptedWorkerSource.repeating(*HELLO_EVENTS), is_inherited=True)
        next_gateway.listener.socket.close()
        next_gateway.listener = Listener(inherited_socket, is_inherited=True)
        next_server_task = asyncio.create_task(next_gateway.serve())
        assert (await waiting).status == 200
        await next_gateway.stop()
        await next_server_task


async def test_retry_after_is_the_remaining_time() -> None:
    shutdown = GracefulShutdown()
    shutdown.reject_if_draining()
    shutdown.begin(asyncio.get_running_loop().time() + 30, is_handover=False)

    with pytest.raises(WorkerError) as rejected:
        shutdown.reject_if_draining()

    assert rejected.value.kind is ErrorKind.SHUTTING_DOWN
    assert 30 <= (rejected.value.retry_after or 0) <= 31


async def test_counts_open_connections() -> None:
    async with run_gateway(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (gateway, session, _):
        async with session.get("/health/live") as response:
            assert response.status == 200
            assert gateway.app[STATE].metrics.count_connections() == 1
        await session.close()
        await wait_until(lambda: gateway.app[STATE].metrics.count_connections() == 0)
