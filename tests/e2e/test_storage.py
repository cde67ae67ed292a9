"""What a person does with the database, and what a disk does to it: with the console command, on the real CLI."""

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

from claude_gateway.demo.upstream import StandIn
from tests.e2e.test_start_and_stop import address, environment, fails_with, for_stand_in, serving
from tests.installed import say_and_skip

pytestmark = pytest.mark.e2e

KEY = "a-key-of-the-disk"
MODEL = "claude-sonnet-4-5-20250929"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a disk of its own, of 64 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(place))
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        say_and_skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is, to the last byte."""
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
    async with session.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def ask(session: aiohttp.ClientSession, words: str, **more: Any) -> tuple[int, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": words}], **more}
    return await post(session, "/v1/chat/completions", body)


async def respond(session: aiohttp.ClientSession, **body: Any) -> tuple[int, Any]:
    return await post(session, "/v1/responses", {"model": MODEL, **body})


@pytest.mark.promise("store.failing")
async def test_a_full_disk_is_said_costs_only_who_needs_it_and_loses_nothing(
    tmp_path: Path, small_disk: Path, upstream: StandIn
) -> None:
    env = {**for_stand_in(upstream), "STATE_DIR": str(small_disk / "state"), "CHAT_WORKERS": "2"}
    async with serving(tmp_path, env) as process:
        url = await address(process)
        async with aiohttp.ClientSession(url) as session:
            assert (await ask(session, "{{say one}} first", session_id="kept"))[0] == 200
            filler = await asyncio.to_thread(fill, small_disk)

            status, body = await ask(session, "{{say two}} lost", session_id="kept")
            assert (status, body["error"]["code"]) == (503, "store_failing"), body
            async with session.get("/health/ready") as ready:
                assert ready.status == 503
                assert "full" in (await ready.json())["reason"]
            assert (await ask(session, "{{say anyway}}"))[0] == 200

            filler.unlink()
            async with asyncio.timeout(30):
                while True:  # it finds out by itself
                    async with session.get("/health/ready") as ready:
                        if ready.status == 200:
                            break
                    await asyncio.sleep(0.2)
            assert (await ask(session, "{{say three}} third", session_id="kept"))[0] == 200
    said = [message["content"] for message in upstream.chats[-1].body["messages"]]
    assert len(said) == 3
    assert "lost" not in str(said)
    assert "first" in str(said[0])


@contextmanager
def unwritable(pid: int) -> Iterator[None]:
    """No file can be written by the process, as on a disk that has become read-only under it: the kernel remounts none
    that has files open for writing, unless the disk itself has failed."""
    process = psutil.Process(pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, before)


async def ready(session: aiohttp.ClientSession) -> tuple[int, Any]:
    async with session.get("/health/ready") as answer:
        return answer.status, await answer.json()


@pytest.mark.promise("store.failing")
async def test_a_disk_that_takes_no_writes_any_more_is_said_by_all_who_need_it_and_forgotten_when_it_does(
    tmp_path: Path, upstream: StandIn
) -> None:
    env = {**for_stand_in(upstream), "API_KEY": KEY, "CHAT_WORKERS": "2", "RATE_LIMIT_ENABLED": "false"}
    async with serving(tmp_path, env) as process:
        url = await address(process)
        async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {KEY}"}) as session:
            assert (await ask(session, "{{say one}} first", session_id="kept"))[0] == 200
            assert (await respond(session, input="{{say kept}}"))[0] == 200
            with unwritable(process.pid):
                for needs_it in (
                    ask(session, "{{say two}} lost", session_id="kept"),
                    ask(session, "{{say two}} lost", session_id="new"),
                    respond(session, input="{{say two}} lost"),
                    post(session, "/v1/admin/keys", {"name": "nobody"}),
                    post(session, "/v1/tools/config", {"allowed_tools": ["Read"]}),
                ):
                    status, body = await needs_it
                    assert (status, body["error"]["code"]) == (503, "store_failing"), body
                for number in range(3):
                    assert (await ask(session, f"{{{{say anyway}}}} {number}"))[0] == 200
                assert (await respond(session, input="{{say anyway}}", store=False))[0] == 200
                async with session.get("/v1/sessions/kept") as known:
                    assert (known.status, (await known.json())["message_count"]) == (200, 2)
                status, report = await ready(session)
                assert (status, report["checks"]["store"], report["checks"]["ledger"]["lost"]) == (503, False, 0)
                assert report["checks"]["ledger"]["waiting"] >= 4
                async with session.get("/metrics") as metrics:
                    assert 'gateway_ledger_lines{state="waiting"} 0.0' not in await metrics.text()

            async with asyncio.timeout(30):
                while (await ready(session))[0] != 200:  # noqa: ASYNC110 - it finds out by itself, and tells nobody
                    await asyncio.sleep(0.2)
            assert (await ask(session, "{{say three}} third", session_id="kept"))[0] == 200
            async with session.get("/v1/usage?group_by=result") as usage:
                told = {row["result"]: row["jobs"] for row in (await usage.json())["data"]}
            assert (await ready(session))[1]["checks"]["ledger"] == {"waiting": 0, "lost": 0}
    said = [message["content"] for message in upstream.chats[-1].body["messages"]]
    assert (len(said), "lost" in str(said)) == (3, False)
    # Whatever the upstream was asked was a job, and no job is missing.
    assert sum(told.values()) == len(upstream.chats)


async def test_a_gateway_that_stops_while_its_disk_takes_nothing_says_what_is_lost(
    tmp_path: Path, upstream: StandIn
) -> None:
    async with serving(tmp_path, for_stand_in(upstream)) as process:
        async with aiohttp.ClientSession(await address(process)) as session:
            with unwritable(process.pid):
                for number in range(2):
                    assert (await ask(session, f"{{{{say anyway}}}} {number}"))[0] == 200
                process.terminate()
                assert await asyncio.wait_for(process.wait(), 30) == 0
        assert process.stderr is not None
        assert "2 jobs, of " in (said := (await process.stderr.read()).decode()), said


async def test_a_disk_that_cannot_be_written_is_one_clear_line(
    tmp_path: Path, small_disk: Path, upstream: StandIn
) -> None:
    state = small_disk / "state"
    state.mkdir(mode=0o700)
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small_disk)], check=True)

    status, lines = await fails_with(tmp_path, {**for_stand_in(upstream), "STATE_DIR": str(state)})

    assert (status, len(lines)) == (1, 1), lines
    assert "Read-only file system" in lines[0]
    assert "STATE_DIR" in lines[0]


def command(tmp_path: Path, *argv: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "claude_gateway.cli", *argv],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


async def test_a_backup_of_a_running_gateway_brings_a_session_back(tmp_path: Path, upstream: StandIn) -> None:
    state = tmp_path / ".local/state/claude-gateway"
    async with serving(tmp_path, for_stand_in(upstream)) as process:
        async with aiohttp.ClientSession(await address(process)) as session:
            assert (await ask(session, "{{say noted}} remember me", session_id="kept"))[0] == 200
        status, said = await asyncio.to_thread(command, tmp_path, "backup", "copy.db")
        assert status == 0, said
        status, said = await asyncio.to_thread(command, tmp_path, "restore", "copy.db")
        assert (status, said.count("\n")) == (1, 1)
        assert "stop it first" in said
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    shutil.rmtree(state)

    status, said = await asyncio.to_thread(command, tmp_path, "restore", "copy.db")
    assert (status, said.splitlines()[1:]) == (0, ["restored; what was there before is nothing"])
    async with (
        serving(tmp_path, for_stand_in(upstream)) as process,
        aiohttp.ClientSession(await address(process)) as session,
    ):
        assert (await ask(session, "{{say again}}", session_id="kept"))[0] == 200
    assert "remember me" in str(upstream.chats[-1].body["messages"])
