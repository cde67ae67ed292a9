"""A gateway that stops: what runs ends well or with a word, what comes is told when to come again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from claude_gateway.daemon.drain import Drain
from claude_gateway.daemon.listener import Listener, bind
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.stores.db import Database
from claude_gateway.stores.sessions import SessionStore
from claude_gateway.web.parts import PARTS
from claude_gateway.web.server import Ending, accepting
from tests.claude_gateway.scripted import CHAT, HELLO, STREAM, ScriptedDispatcher, scripted_app
from tests.claude_gateway.scripted import settings as scripted_settings
from tests.workers.helpers import PATIENCE, soon, until
from workers.errors import ErrorKind, WorkerError


class Gateway:
    """One on a socket of its own. `stop` begins its end, `ended` waits for it; `refused` holds what the queue was told,
    `killed` is set when the work was ended."""

    def __init__(self, dispatcher: ScriptedDispatcher, *, is_kept: bool, **settings: Any) -> None:
        self.app = scripted_app(dispatcher, claude_wrapper_host="127.0.0.1", port=0, **settings)
        self.listener = Listener(bind(self.app[PARTS].settings), is_kept)
        self.url = self.listener.url
        self.refused: list[float] = []
        self.killed = asyncio.Event()
        self.hurry = asyncio.Event()
        self.on_kill: Callable[[], None] = lambda: None
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        async with accepting(self.app, self.listener, Ending(self.refused.append, self._kill, self.hurry)):
            await self._stop.wait()

    async def _kill(self) -> None:
        self.app[PARTS].service.stop()
        self.killed.set()
        self.on_kill()

    async def stop(self) -> None:
        self._stop.set()
        await until(lambda: self.app[PARTS].drain.is_on)


@asynccontextmanager
async def running(
    dispatcher: ScriptedDispatcher, *, is_kept: bool = False, **settings: Any
) -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession, asyncio.Task[None]]]:
    gateway = Gateway(dispatcher, is_kept=is_kept, **settings)
    serving = asyncio.create_task(gateway.serve())
    async with aiohttp.ClientSession(gateway.url) as session:
        yield gateway, session, serving
        gateway.hurry.set()
        await gateway.stop()
        await serving
    gateway.listener.socket.close()


@pytest.mark.promise("stop.drains")
async def test_a_running_stream_ends_well_and_who_comes_meanwhile_is_told_when_to_come_again() -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher([[*HELLO[:3], more, *HELLO[3:]]])
    async with running(dispatcher, drain_seconds=20) as (gateway, session, serving):
        async with session.post("/v1/chat/completions", json=STREAM) as stream:
            await stream.content.readline()
            await gateway.stop()

            async with session.get("/health/ready") as ready:
                assert (ready.status, (await ready.json())["status"]) == (503, "stopping")
                assert ready.headers["Connection"] == "close"
            async with session.get("/health/live") as live:
                assert live.status == 200
            for path, body in (
                ("/v1/chat/completions", CHAT),
                ("/v1/messages", {**CHAT, "max_tokens": 5}),
                ("/v1/responses", {"model": CHAT["model"], "input": "hi", "background": True}),
            ):
                async with session.post(path, json=body) as late:
                    assert late.status == 503, path
                    assert 1 <= int(late.headers["Retry-After"]) <= 22
            more.set()
            assert (await stream.text()).rstrip().endswith("data: [DONE]")
        await serving
    assert gateway.refused
    assert not gateway.killed.is_set()
    assert len(dispatcher.jobs) == 1


@pytest.mark.promise("stop.drains")
async def test_who_waits_for_his_session_is_told_at_once_when_to_come_again(database: Database) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher([[*HELLO[:3], more, *HELLO[3:]]])
    lines = Lines(10, PATIENCE)
    sessions = Sessions(SessionStore(database), scripted_settings().sessions(), lines)
    async with running(dispatcher, sessions=sessions, drain_seconds=20) as (gateway, session, serving):
        async with session.post("/v1/chat/completions", json={**STREAM, "session_id": "s"}) as stream:
            await stream.content.readline()
            behind = asyncio.create_task(
                session.post("/v1/chat/completions", json={**CHAT, "session_id": "s"}).__aenter__()
            )
            await until(lambda: vars(lines)["_waiting"].total() == 1)
            await gateway.stop()

            refused = await soon(behind)
            assert (refused.status, (await refused.json())["error"]["code"]) == (503, "stopping")
            assert 1 <= int(refused.headers["Retry-After"]) <= 22
            more.set()
            assert (await stream.text()).rstrip().endswith("data: [DONE]")
        await serving
    assert len(dispatcher.jobs) == 1


async def test_what_is_not_done_in_time_ends_with_an_error_of_its_own_and_not_in_the_middle() -> None:
    never = asyncio.Event()
    died = WorkerError(ErrorKind.WORKER_DIED, "The worker ended.")
    dispatcher = ScriptedDispatcher([[*HELLO[:3], never, died], [never, died]])
    async with running(dispatcher, drain_seconds=0.05) as (gateway, session, serving):
        gateway.on_kill = never.set  # the end of a worker, as its reader sees it
        async with session.post("/v1/chat/completions", json=STREAM) as stream:
            await stream.content.readline()
            whole = asyncio.create_task(session.post("/v1/chat/completions", json=CHAT).__aenter__())
            await until(lambda: len(dispatcher.jobs) == 2)
            await gateway.stop()
            end = await stream.text()
        assert "The gateway is stopping." in end
        assert "[DONE]" not in end
        answer = await whole
        assert answer.status == 503
        assert "Retry-After" in answer.headers
        await serving
    assert gateway.killed.is_set()


async def test_a_second_signal_does_not_wait() -> None:
    never = asyncio.Event()
    dispatcher = ScriptedDispatcher([[*HELLO[:3], never, WorkerError(ErrorKind.WORKER_DIED, "The worker ended.")]])
    async with running(dispatcher, drain_seconds=3600) as (gateway, session, serving):
        gateway.on_kill = never.set
        async with session.post("/v1/chat/completions", json=STREAM) as stream:
            await stream.content.readline()
            await gateway.stop()
            gateway.hurry.set()
            assert "The gateway is stopping." in await stream.text()
        await serving


async def test_a_socket_that_is_handed_on_refuses_nobody_and_who_is_connected_is_still_served() -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    async with running(dispatcher, is_kept=True, drain_seconds=20) as (gateway, session, serving):
        async with session.get("/health") as before:
            assert before.status == 200
        held = gateway.listener.socket.dup()  # as systemd has it
        await gateway.stop()
        async with session.post("/v1/chat/completions", json=CHAT) as connected:
            assert connected.status == 200
            assert connected.headers["Connection"] == "close"
        waiting = asyncio.create_task(session.post("/v1/chat/completions", json=CHAT).__aenter__())
        await serving
        assert not waiting.done()

        # What the kernel kept, the next gateway answers.
        next_one = Gateway(ScriptedDispatcher.always(*HELLO), is_kept=True)
        next_one.listener.socket.close()
        next_one.listener = Listener(held, is_kept=True)
        next_serving = asyncio.create_task(next_one.serve())
        assert (await waiting).status == 200
        await next_one.stop()
        await next_serving


async def test_the_time_to_come_again_is_what_is_left() -> None:
    drain = Drain()
    drain.admit()
    drain.begin(asyncio.get_running_loop().time() + 30, hands_over=False)

    with pytest.raises(WorkerError) as late:
        drain.admit()

    assert late.value.kind is ErrorKind.STOPPING
    assert 30 <= (late.value.retry_after or 0) <= 31


async def test_the_connections_that_are_open_are_counted_as_they_come_and_go() -> None:
    async with running(ScriptedDispatcher.always(*HELLO)) as (gateway, session, _):
        async with session.get("/health/live") as response:
            assert response.status == 200
            assert gateway.app[PARTS].metrics.connections() == 1
        await session.close()
        await until(lambda: gateway.app[PARTS].metrics.connections() == 0)
