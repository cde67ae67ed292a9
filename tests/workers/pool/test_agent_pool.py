"""Tests of the pool of agents with scripted processes: the agent that a job gets, and the reports of exits."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workers.helpers import (
    MODEL,
    TIMEOUT_SECONDS,
    assistant_turn,
    far_deadline,
    make_job,
    user_turn,
    wait_until,
    with_timeout,
)
from tests.workers.scripted_process import ScriptedProcess, text_reply_frames
from workers.conversation.resume_index import ResumeIndex, ResumePoint
from workers.core.errors import ErrorKind, Limit, WorkerError
from workers.core.frame import Frame
from workers.core.job import AgentOptions, Turn
from workers.core.observer import ExitReason, NullObserver, WorkerKind
from workers.core.settings import AgentSettings
from workers.host.workspaces import Workspaces
from workers.pool import agent_limits
from workers.pool.agent_pool import AgentPool
from workers.worker.agent_worker import AgentWorker
from workers.worker.prepared_job import PreparedAgentJob, prepare_agent_job

SETTINGS = AgentSettings(
    worker_count=1,
    spare_count=0,
    uid=0,
    default_tools=("Read",),
    max_workspace_bytes=10**9,
    max_memory_mib=10**6,
)
HI = user_turn("hi")
NEXT = (HI, assistant_turn("one"), user_turn("and?"))


class ExitObserver(NullObserver):
    """Records the exit reasons of processes."""

    def __init__(self) -> None:
        self.exits: list[tuple[WorkerKind, ExitReason]] = []

    def process_exited(self, kind: WorkerKind, reason: ExitReason) -> None:
        self.exits.append((kind, reason))


class PoolTestbed:
    """A pool with the processes that it has started and its observer."""

    def __init__(self, pool: AgentPool, processes: list[ScriptedProcess], observer: ExitObserver) -> None:
        self.pool = pool
        self.processes = processes
        self.observer = observer

    async def run(
        self, *turns: Turn, session: str | None = "s", tools: tuple[str, ...] = ("Read",), login: str = ""
    ) -> None:
        prepared = prepare(*turns, session=session, tools=tools)
        prepared = replace(prepared, job=replace(prepared.job, login=login))
        async with asyncio.timeout(TIMEOUT_SECONDS), self.pool.lease(prepared, far_deadline()) as agent:
            async for _ in agent.run(prepared, far_deadline()):
                pass


def prepare(*turns: Turn, session: str | None = "s", tools: tuple[str, ...] = ("Read",)) -> PreparedAgentJob:
    return prepare_agent_job(replace(make_job(*turns), agent_options=AgentOptions(tools, session)))


@asynccontextmanager
async def run_testbed(
    directory: Path, settings: AgentSettings = SETTINGS, replies: Iterator[list[Frame]] | None = None
) -> AsyncIterator[PoolTestbed]:
    processes: list[ScriptedProcess] = []

    async def spawn(_: object) -> ScriptedProcess:
        process = ScriptedProcess(replies or itertools.repeat(text_reply_frames("one")))
        process.pid = os.getpid()
        processes.append(process)
        return process

    def create_agent(
        _: Path, __: tuple[str, ...], index: ResumeIndex, point: ResumePoint | None, ___: str
    ) -> AgentWorker:
        return AgentWorker(spawn, MODEL, index, point)

    observer = ExitObserver()
    workspaces = Workspaces(directory, None)
    await workspaces.open()
    pool = AgentPool(create_agent, workspaces, settings, observer)
    try:
        yield PoolTestbed(pool, processes, observer)
    finally:
        await with_timeout(pool.close())
        await workspaces.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


async def test_session_continues_in_its_agent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with run_testbed(tmp_path) as testbed:
        await testbed.run(HI)
        await testbed.run(*NEXT)

        assert len(testbed.processes) == 1
    assert (warnings(caplog), testbed.observer.exits) == ([], [])  # the exit at shutdown is not reported either


async def test_reports_an_agent_that_another_session_replaces(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with run_testbed(tmp_path) as testbed:
        await testbed.run(HI)
        await testbed.run(HI, session="other")

        assert testbed.observer.exits == [("agent", "evicted")]
    assert warnings(caplog) == [
        f"agent worker replaced: process {os.getpid()}, evicted: another session needs its slot"
    ]


@pytest.mark.parametrize(
    ("turns", "tools", "detail"),
    [
        ((HI, assistant_turn("another"), user_turn("and?")), ("Read",), "does not continue its conversation"),
        (NEXT, ("Glob", "Read"), "needs other tools"),
    ],
    ids=["another conversation", "other tools"],
)
async def test_reports_an_agent_in_which_its_session_cannot_continue(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, turns: tuple[Turn, ...], tools: tuple[str, ...], detail: str
) -> None:
    async with run_testbed(tmp_path) as testbed:
        await testbed.run(HI)
        await testbed.run(*turns, tools=tools)

        assert testbed.observer.exits == [("agent", "evicted")]
        assert detail in warnings(caplog)[0]


async def test_reports_and_removes_an_idle_agent_that_exits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with run_testbed(tmp_path) as testbed:
        await testbed.run(HI)
        testbed.processes[0].stderr = "warming up\nout of memory, API_KEY=hunter2\n"
        testbed.processes[0].exit_with(3)
        await wait_until(lambda: not testbed.pool.processes())

        assert testbed.observer.exits == [("agent", "exited")]
        [line] = warnings(caplog)
        assert "exited: exit status 3, last line on stderr: out of memory" in line
        assert "hunter2" not in line
        await testbed.run(*NEXT)
        assert len(testbed.processes) == 2


async def test_reports_an_agent_that_exits_in_a_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with run_testbed(tmp_path) as testbed:
        prepared = prepare(HI)
        with pytest.raises(WorkerError) as caught:  # noqa: PT012
            async with testbed.pool.lease(prepared, far_deadline()) as agent:
                testbed.processes[0].kill()
                async for _ in agent.run(prepared, far_deadline()):
                    pass

        assert caught.value.kind is ErrorKind.WORKER_EXITED
        assert testbed.observer.exits == [("agent", "exited")]
        assert "signal SIGKILL" in warnings(caplog)[0]


@pytest.mark.parametrize(
    ("settings", "kind", "limit"),
    [
        (replace(SETTINGS, max_memory_mib=1), ErrorKind.MEMORY_LIMIT, Limit.AGENT_MEMORY),
        (replace(SETTINGS, max_workspace_bytes=4096), ErrorKind.DISK_LIMIT, Limit.SESSION_DISK),
        (replace(SETTINGS, max_key_disk_bytes=4096), ErrorKind.DISK_LIMIT, Limit.KEY_DISK),
    ],
    ids=["memory", "disk of the session", "disk of the key"],
)
async def test_reports_an_agent_that_is_ended_because_it_exceeds_a_limit(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    settings: AgentSettings,
    kind: ErrorKind,
    limit: Limit,
) -> None:
    monkeypatch.setattr(agent_limits, "_CHECK_INTERVAL_SECONDS", 0)
    workspaces = Workspaces(tmp_path, None)
    await workspaces.open()
    async with run_testbed(tmp_path, settings, itertools.repeat([])) as testbed:
        prepared = prepare(HI)
        with pytest.raises(WorkerError) as caught:  # noqa: PT012
            async with testbed.pool.lease(prepared, far_deadline()) as agent:
                (workspaces.get_session_path("ann", "s") / "large").write_bytes(b"x" * 20_000)
                async for _ in agent.run(prepared, far_deadline()):
                    pass

        assert (caught.value.kind, caught.value.limit) == (kind, limit)
        assert testbed.observer.exits == [("agent", "unhealthy")]
        assert str(caught.value) in warnings(caplog)[0]


async def test_reports_an_agent_that_violates_the_protocol(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    malformed: list[Frame] = [{"type": "control_response", "response": {}}]
    async with run_testbed(tmp_path, replies=itertools.repeat(malformed)) as testbed:
        with pytest.raises(WorkerError):
            await testbed.run(HI)

        assert testbed.observer.exits == [("agent", "unhealthy")]
        assert "malformed control_response frame" in warnings(caplog)[0]


async def test_does_not_report_the_end_of_an_agent_without_a_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_testbed(tmp_path) as testbed:
        await testbed.run(HI, session=None)

        assert testbed.processes[0].is_killed
    assert (warnings(caplog), testbed.observer.exits) == ([], [])


async def test_session_whose_login_changes_continues_in_another_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_testbed(tmp_path) as testbed:
        await testbed.run(HI, login="first")
        await testbed.run(*NEXT, login="second")
        assert len(testbed.processes) == 2
        assert testbed.processes[0].is_killed
        await testbed.run(*NEXT, login="second")
    assert any("uses another login" in line for line in warnings(caplog))
