"""One gateway follows another on the socket that systemd holds; what systemd is told meanwhile."""

import asyncio
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from claude_gateway.demo.upstream import StandIn
from tests.e2e.test_start_and_stop import environment, first_line, for_stand_in
from tests.installed import need

pytestmark = pytest.mark.e2e

SERVE = (sys.executable, "-m", "claude_gateway.cli", "serve")
BODY = {
    "model": "claude-sonnet-4-5-20250929",
    "stream": True,
    "messages": [{"role": "user", "content": "{{deltas 20}}{{pace 0.01}}"}],
}
# What systemd does between fork and exec.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""
CALLERS = 6
RESTARTS = 2


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd hears on."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


async def heard(listening: socket.socket, word: str) -> list[str]:
    """All that is said until `word` is."""
    said = []
    async with asyncio.timeout(30):
        while not said or word not in said[-1]:
            said.append((await asyncio.get_running_loop().sock_recv(listening, 4096)).decode())
    return said


@asynccontextmanager
async def started(
    argv: tuple[str, ...], env: dict[str, str], tmp_path: Path, *, file_3: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program with `file_3` as what systemd hands over; killed where it has not ended by itself."""
    if file_3 is not None:
        argv = (sys.executable, "-c", HAND_OVER, str(file_3), *argv)
    process = await asyncio.create_subprocess_exec(
        *argv, env=env, cwd=tmp_path, stderr=asyncio.subprocess.PIPE, pass_fds=() if file_3 is None else (file_3,)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def call(url: str, ended: Counter[str]) -> None:
    """A stream on a connection of its own, as a proxy makes one. How it ended is counted: only who waited in the queue
    may be told to come again."""
    try:
        async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", json=BODY) as answer:
            text = await answer.text()
            if answer.status == 503 and int(answer.headers["Retry-After"]) == 1:
                ended["told to come again"] += 1
                return
            whole = "w19" in text and text.rstrip().endswith("data: [DONE]")
            ended["whole" if whole else f"{answer.status} cut"] += 1
    except aiohttp.ClientError as error:
        ended[type(error).__name__] += 1


@pytest.mark.promise("stop.relieved")
async def test_restarts_under_load_refuse_nobody_and_cut_no_stream(
    tmp_path: Path, upstream: StandIn, notified: socket.socket
) -> None:
    settings = {"CHAT_WORKERS": "2", "CHAT_SPARE_WORKERS": "0", "NOTIFY_SOCKET": str(tmp_path / "notify")}
    env = environment(tmp_path, **for_stand_in(upstream) | settings, WATCHDOG_USEC="2000000")
    ended: Counter[str] = Counter()
    over = asyncio.Event()

    async def callers(url: str) -> None:
        while not over.is_set():
            await call(url, ended)

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        load: list[asyncio.Task[None]] = []
        for number in range(1 + RESTARTS):
            async with started(SERVE, env, tmp_path, file_3=held.fileno()) as gateway:
                said = await heard(notified, "READY=1")
                assert f"STATUS=Serving on {url}" in said[-1]
                await heard(notified, "WATCHDOG=1")
                load = load or [asyncio.create_task(callers(url)) for _ in range(CALLERS)]
                enough = ended.total() + 2 * CALLERS
                while ended.total() < enough:
                    await asyncio.wait(load, timeout=0.05)
                if number == RESTARTS:
                    over.set()
                    await asyncio.gather(*load)
                gateway.send_signal(signal.SIGTERM)
                await heard(notified, "STOPPING=1")
                assert await asyncio.wait_for(gateway.wait(), 30) == 0
    told = ended.pop("told to come again", 0)
    assert told <= CALLERS * (1 + RESTARTS)
    assert ended.keys() == {"whole"}
    assert len(upstream.chats) == ended["whole"]


async def test_systemd_s_own_tool_starts_it_with_the_first_caller(tmp_path: Path, upstream: StandIn) -> None:
    need({"systemd-socket-activate": "systemd"})
    env = environment(tmp_path, **for_stand_in(upstream))
    variables = (word for name, value in env.items() for word in ("-E", f"{name}={value}"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    activate = ("systemd-socket-activate", "-l", address, *variables, *SERVE)
    async with started(activate, env, tmp_path) as process:
        assert "Listening on" in await first_line(process)
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/health/ready") as ready:
            assert ready.status == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.promise("stop.no-orphan")
async def test_nothing_is_left_two_seconds_after_a_kill(tmp_path: Path, upstream: StandIn) -> None:
    """Also not of a command that Claude runs: box in box, under a session of its own."""
    need({"bwrap": "bubblewrap", "socat": "socat", "rg": "ripgrep"})
    env = environment(tmp_path, **for_stand_in(upstream), API_KEY="k")
    headers = {"authorization": "Bearer k"}
    async with started(SERVE, env, tmp_path) as gateway, aiohttp.ClientSession(headers=headers) as session:
        url = (await first_line(gateway)).split()[-1]
        body = {
            "model": BODY["model"],
            "enable_tools": True,
            "messages": [{"role": "user", "content": '{{tool Bash {"command": "exec sleep 600.125"}}}'}],
        }
        asking = asyncio.create_task(_asked(session, f"{url}/v1/chat/completions", body))
        async with asyncio.timeout(30):
            while not _is_running("600.125"):  # noqa: ASYNC110 - nothing in a box tells of itself
                await asyncio.sleep(0.05)
        ours = psutil.Process(gateway.pid).children(recursive=True)
        assert len(ours) >= 4
        gateway.kill()
        await gateway.wait()
        _, alive = await asyncio.to_thread(psutil.wait_procs, ours, timeout=2)
        assert alive == []
        with pytest.raises(aiohttp.ClientError):
            await asking


async def _asked(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with session.post(url, json=body):
        pass


def _is_running(argument: str) -> bool:
    return any(argument in (process.info["cmdline"] or [])[-1:] for process in psutil.process_iter(["cmdline"]))


@pytest.mark.promise("settings.renewed")
async def test_sighup_reads_settings_again_and_bad_ones_change_nothing(
    tmp_path: Path, upstream: StandIn, notified: socket.socket
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("API_KEY=old\n")
    env = environment(tmp_path, **for_stand_in(upstream), NOTIFY_SOCKET=str(tmp_path / "notify"))

    async def opens(session: aiohttp.ClientSession, url: str, key: str) -> bool:
        async with session.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"}) as answer:
            return answer.status == 200

    async with started(SERVE, env, tmp_path) as gateway, aiohttp.ClientSession() as session:
        url = (await first_line(gateway)).split()[-1]
        await heard(notified, "READY=1")
        assert await opens(session, url, "old")
        for text, opening, shut, said in (
            ("API_KEY=new\nQUEUE_TIMEOUT_SECONDS=7\n", "new", "old", "changed: API_KEY"),
            ("API_KEY=newer\nQUEUE_LIMIT=many\n", "new", "newer", "stay as they were: setting QUEUE_LIMIT"),
        ):
            env_file.write_text(text)
            gateway.send_signal(signal.SIGHUP)
            assert [word.partition("\n")[0] for word in await heard(notified, "READY=1")] == ["RELOADING=1", "READY=1"]
            assert await opens(session, url, opening)
            assert not await opens(session, url, shut)
            assert said in await first_line(gateway)
            if "QUEUE_TIMEOUT" in text:
                assert "restart to change: QUEUE_TIMEOUT_SECONDS" in await first_line(gateway)
        gateway.terminate()
        assert await asyncio.wait_for(gateway.wait(), 30) == 0
