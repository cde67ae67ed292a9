import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.workers.helpers import acquire_worker, always_allow, far_deadline, make_job, wait_all_ready, with_timeout
from workers.core.errors import ErrorKind, WorkerError
from workers.core.settings import AgentSettings, AuthMethod, LaunchSettings, PoolSettings, QueueSettings
from workers.engine import run_engine
from workers.host.process_dirs import ProcessDirectories

POOL = PoolSettings(worker_count=1, spare_count=1, max_jobs=9, max_age_seconds=1e9, max_rss_mib=1_000_000)
QUEUE = QueueSettings(max_waiting_jobs=9, timeout_seconds=10)
AGENTS = AgentSettings(1, 0, 61_999, ("Bash",), 2**20, 512)
# Answers every control request, which is enough for the start of a worker.
CLI_SCRIPT = """
import json, sys
for line in sys.stdin:
    response = {"subtype": "success", "request_id": json.loads(line)["request_id"], "response": {}}
    print(json.dumps({"type": "control_response", "response": response}), flush=True)
"""


def write_program(directory: Path, script: str) -> LaunchSettings:
    path = directory / "claude"
    path.write_text(f"#!{sys.executable} -S\n{script}")
    path.chmod(0o700)
    return LaunchSettings(path, AuthMethod.API_KEY, "claude-test")


def list_process_dirs(state: Path) -> list[Path]:
    return [path for path in state.glob("*workers/*") if path.is_dir()]


async def test_each_worker_has_a_process_directory_that_is_removed_at_the_end(tmp_path: Path) -> None:
    launch, state = write_program(tmp_path, CLI_SCRIPT), tmp_path / "state"
    async with run_engine(ProcessDirectories(state), [launch], POOL, QUEUE, AGENTS) as engine:
        await wait_all_ready(engine.chat_pool)
        assert len(list_process_dirs(state)) == 2
        async with acquire_worker(engine.chat_scheduler, make_job(), far_deadline(), always_allow) as leased:
            pid = leased.worker.pid
            os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list_process_dirs(state) == []


async def test_engine_without_a_working_cli_reports_the_reason_and_leaves_no_directories(tmp_path: Path) -> None:
    launch, state = write_program(tmp_path, 'import sys; sys.exit("no such option")'), tmp_path / "state"
    async with AsyncExitStack() as stack:
        with pytest.raises(WorkerError) as caught:
            await with_timeout(
                stack.enter_async_context(run_engine(ProcessDirectories(state), [launch], POOL, QUEUE, AGENTS))
            )
    assert caught.value.kind is ErrorKind.START_FAILED
    assert "no such option" in caught.value.detail
    assert list_process_dirs(state) == []


async def test_engine_releases_the_state_directory_when_it_ends(tmp_path: Path) -> None:
    launch = write_program(tmp_path, CLI_SCRIPT)
    for _ in range(2):
        async with (
            asyncio.timeout(10),
            run_engine(ProcessDirectories(tmp_path / "state"), [launch], POOL, QUEUE, AGENTS),
        ):
            pass
