import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.workers.helpers import a_job, all_ready, allowed, later, soon
from workers.engine import running_engine
from workers.errors import ErrorKind, WorkerError
from workers.homes import Homes
from workers.settings import AgentSettings, AuthMethod, LaunchSettings, PoolSettings, QueueSettings

POOL = PoolSettings(workers=1, spares=1, max_jobs=9, max_age=1e9, max_rss_mib=1_000_000)
QUEUE = QueueSettings(limit=9, timeout=10)
AGENTS = AgentSettings(1, 0, 61_999, ("Bash",), 2**20, 512)
# Answers every control request, which is all that a boot asks of it.
A_CLI = """
import json, sys
for line in sys.stdin:
    answer = {"subtype": "success", "request_id": json.loads(line)["request_id"], "response": {}}
    print(json.dumps({"type": "control_response", "response": answer}), flush=True)
"""


def a_program(directory: Path, script: str) -> LaunchSettings:
    path = directory / "claude"
    path.write_text(f"#!{sys.executable} -S\n{script}")
    path.chmod(0o700)
    return LaunchSettings(path, AuthMethod.API_KEY, "claude-test")


def homes_under(state: Path) -> list[Path]:
    return [path for path in state.glob("*workers/*") if path.is_dir()]


async def test_workers_live_in_homes_of_their_own_and_nothing_of_them_is_left(tmp_path: Path) -> None:
    launch, state = a_program(tmp_path, A_CLI), tmp_path / "state"
    async with running_engine(Homes(state), launch, POOL, QUEUE, AGENTS) as engine:
        await all_ready(engine.pool)
        assert len(homes_under(state)) == 2
        async with engine.scheduler.worker(a_job(), later(), allowed) as worker:
            pid = worker.pid
            os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert homes_under(state) == []


async def test_an_engine_of_which_nothing_starts_tells_why_and_leaves_nothing(tmp_path: Path) -> None:
    launch, state = a_program(tmp_path, 'import sys; sys.exit("no such option")'), tmp_path / "state"
    async with AsyncExitStack() as stack:
        with pytest.raises(WorkerError) as caught:
            await soon(stack.enter_async_context(running_engine(Homes(state), launch, POOL, QUEUE, AGENTS)))
    assert caught.value.kind is ErrorKind.START_FAILED
    assert "no such option" in caught.value.detail
    assert homes_under(state) == []


async def test_a_state_directory_is_let_go_when_the_engine_ends(tmp_path: Path) -> None:
    launch = a_program(tmp_path, A_CLI)
    for _ in range(2):
        async with asyncio.timeout(10), running_engine(Homes(tmp_path / "state"), launch, POOL, QUEUE, AGENTS):
            pass
