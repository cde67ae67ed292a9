"""Backup and restore of the database by an operator, and disk failures, with the console command and the real CLI."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.helpers.gateway_process import (
    build_process_env,
    fake_api_env,
    read_gateway_url,
    run_failing_start,
    run_gateway_process,
)
from tests.installed import skip_or_fail

pytestmark = pytest.mark.e2e

KEY = "a-key-of-the-disk"
MODEL = "claude-sonnet-4-5-20250929"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory on a disk of 64 MiB of its own."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(mount_point))
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        skip_or_fail("no disk can be mounted here")
    yield mount_point
    subprocess.run(["umount", "--lazy", str(mount_point)], check=True)


def fill_disk(disk: Path) -> Path:
    """Fill the disk to the last byte, and return the file that does so."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 2**20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return filler


async def post(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    async with session.post(path, json=body) as response:
        return response.status, await response.json()


async def ask(session: aiohttp.ClientSession, prompt: str, **fields: Any) -> tuple[int, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **fields}
    return await post(session, "/v1/chat/completions", body)


async def post_response(session: aiohttp.ClientSession, **body: Any) -> tuple[int, Any]:
    return await post(session, "/v1/responses", {"model": MODEL, **body})


@pytest.mark.promise("storage.unavailable")
async def test_full_disk_is_reported_fails_only_requests_that_write_and_loses_nothing(
    tmp_path: Path, small_disk: Path, upstream: FakeAnthropic
) -> None:
    env = {**fake_api_env(upstream), "STATE_DIR": str(small_disk / "state"), "CHAT_WORKERS": "2"}
    async with run_gateway_process(tmp_path, env) as process:
        url = await read_gateway_url(process)
        async with aiohttp.ClientSession(url) as session:
            assert (await ask(session, "{{say one}} first", session_id="kept"))[0] == 200
            filler = await asyncio.to_thread(fill_disk, small_disk)

            status, body = await ask(session, "{{say two}} lost", session_id="kept")
            assert (status, body["error"]["code"]) == (503, "storage_unavailable"), body
            async with session.get("/health/ready") as ready:
                assert ready.status == 503
                assert "full" in (await ready.json())["reason"]
            assert (await ask(session, "{{say anyway}}"))[0] == 200

            filler.unlink()
            async with asyncio.timeout(30):
                while True:  # the gateway notices the free space by itself
                    async with session.get("/health/ready") as ready:
                        if ready.status == 200:
                            break
                    await asyncio.sleep(0.2)
            assert (await ask(session, "{{say three}} third", session_id="kept"))[0] == 200
    contents = [message["content"] for message in upstream.chat_requests[-1].body["messages"]]
    assert len(contents) == 3
    assert "lost" not in str(contents)
    assert "first" in str(contents[0])


@contextmanager
def disk_writes_blocked(pid: int) -> Iterator[None]:
    """Keep the process from writing files, as on a disk that became read-only.

    The kernel does not remount a disk that has files open for writing unless the disk itself failed, so the test uses
    a limit of the file size.
    """
    process = psutil.Process(pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, before)


async def get_readiness(session: aiohttp.ClientSession) -> tuple[int, Any]:
    async with session.get("/health/ready") as response:
        return response.status, await response.json()


@pytest.mark.promise("storage.unavailable")
async def test_read_only_disk_is_reported_by_everything_that_writes_until_it_recovers(
    tmp_path: Path, upstream: FakeAnthropic
) -> None:
    env = {**fake_api_env(upstream), "API_KEY": KEY, "CHAT_WORKERS": "2", "RATE_LIMIT_ENABLED": "false"}
    async with run_gateway_process(tmp_path, env) as process:
        url = await read_gateway_url(process)
        async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {KEY}"}) as session:
            assert (await ask(session, "{{say one}} first", session_id="kept"))[0] == 200
            assert (await post_response(session, input="{{say kept}}"))[0] == 200
            with disk_writes_blocked(process.pid):
                for request in (
                    ask(session, "{{say two}} lost", session_id="kept"),
                    ask(session, "{{say two}} lost", session_id="new"),
                    post_response(session, input="{{say two}} lost"),
                    post(session, "/v1/admin/keys", {"name": "new"}),
                    post(session, "/v1/tools/config", {"allowed_tools": ["Read"]}),
                ):
                    status, body = await request
                    assert (status, body["error"]["code"]) == (503, "storage_unavailable"), body
                for number in range(3):
                    assert (await ask(session, f"{{{{say anyway}}}} {number}"))[0] == 200
                assert (await post_response(session, input="{{say anyway}}", store=False))[0] == 200
                async with session.get("/v1/sessions/kept") as response:
                    assert (response.status, (await response.json())["message_count"]) == (200, 2)
                status, report = await get_readiness(session)
                assert (status, report["checks"]["database"], report["checks"]["usage_records"]["lost"]) == (
                    503,
                    False,
                    0,
                )
                assert report["checks"]["usage_records"]["pending"] >= 4
                async with session.get("/metrics") as metrics:
                    assert "gateway_pending_usage_records 0.0" not in await metrics.text()

            async with asyncio.timeout(30):
                while (await get_readiness(session))[0] != 200:  # noqa: ASYNC110 - no event tells when the gateway notices
                    await asyncio.sleep(0.2)
            assert (await ask(session, "{{say three}} third", session_id="kept"))[0] == 200
            async with session.get("/v1/usage?group_by=result") as usage:
                job_counts = {row["result"]: row["jobs"] for row in (await usage.json())["data"]}
            assert (await get_readiness(session))[1]["checks"]["usage_records"] == {"pending": 0, "lost": 0}
    contents = [message["content"] for message in upstream.chat_requests[-1].body["messages"]]
    assert (len(contents), "lost" in str(contents)) == (3, False)
    # Every upstream request was a job, and every job has a usage record.
    assert sum(job_counts.values()) == len(upstream.chat_requests)


async def test_shutdown_with_a_read_only_disk_reports_lost_records(tmp_path: Path, upstream: FakeAnthropic) -> None:
    async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process:
        async with aiohttp.ClientSession(await read_gateway_url(process)) as session:
            with disk_writes_blocked(process.pid):
                for number in range(2):
                    assert (await ask(session, f"{{{{say anyway}}}} {number}"))[0] == 200
                process.terminate()
                assert await asyncio.wait_for(process.wait(), 30) == 0
        assert process.stderr is not None
        assert "2 jobs (" in (output := (await process.stderr.read()).decode()), output


async def test_read_only_disk_is_reported_in_one_line_at_start(
    tmp_path: Path, small_disk: Path, upstream: FakeAnthropic
) -> None:
    state = small_disk / "state"
    state.mkdir(mode=0o700)
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small_disk)], check=True)

    status, lines = await run_failing_start(tmp_path, {**fake_api_env(upstream), "STATE_DIR": str(state)})

    assert (status, len(lines)) == (1, 1), lines
    assert "Read-only file system" in lines[0]
    assert "STATE_DIR" in lines[0]


def run_cli(tmp_path: Path, *argv: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "claude_gateway.cli.main", *argv],
        env=build_process_env(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


async def test_backup_of_a_running_gateway_restores_a_session(tmp_path: Path, upstream: FakeAnthropic) -> None:
    state = tmp_path / ".local/state/claude-gateway"
    async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process:
        async with aiohttp.ClientSession(await read_gateway_url(process)) as session:
            assert (await ask(session, "{{say noted}} remember me", session_id="kept"))[0] == 200
        status, output = await asyncio.to_thread(run_cli, tmp_path, "backup", "copy.db")
        assert status == 0, output
        status, output = await asyncio.to_thread(run_cli, tmp_path, "restore", "copy.db")
        assert (status, output.count("\n")) == (1, 1)
        assert "Stop it first" in output
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    shutil.rmtree(state)

    status, output = await asyncio.to_thread(run_cli, tmp_path, "restore", "copy.db")
    assert (status, output.splitlines()[1:]) == (0, ["restored; there was no database"])
    async with (
        run_gateway_process(tmp_path, fake_api_env(upstream)) as process,
        aiohttp.ClientSession(await read_gateway_url(process)) as session,
    ):
        assert (await ask(session, "{{say again}}", session_id="kept"))[0] == 200
    assert "remember me" in str(upstream.chat_requests[-1].body["messages"])
