"""One gateway replaces another on the socket that systemd holds, and notifies systemd meanwhile."""

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

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.helpers.gateway_process import build_process_env, fake_api_env, read_first_log_line
from tests.installed import require_programs

pytestmark = pytest.mark.e2e

SERVE = (sys.executable, "-m", "claude_gateway.cli.main", "serve")
BODY = {
    "model": "claude-sonnet-4-5-20250929",
    "stream": True,
    "messages": [{"role": "user", "content": "{{deltas 20}}{{pace 0.01}}"}],
}
# Performs what systemd does between fork and exec.
SOCKET_ACTIVATION_PROGRAM = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""
CLIENT_COUNT = 6
RESTART_COUNT = 2


@pytest.fixture
def notify_socket(tmp_path: Path) -> Iterator[socket.socket]:
    """Yield the socket on which systemd would receive notifications."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


async def read_notifications_until(listening: socket.socket, word: str) -> list[str]:
    """Return all notifications up to the first that contains `word`."""
    messages = []
    async with asyncio.timeout(30):
        while not messages or word not in messages[-1]:
            messages.append((await asyncio.get_running_loop().sock_recv(listening, 4096)).decode())
    return messages


@asynccontextmanager
async def run_program(
    argv: tuple[str, ...], env: dict[str, str], tmp_path: Path, *, file_3: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program, with `file_3` as the socket that systemd passes, and kill it if it does not exit by itself."""
    if file_3 is not None:
        argv = (sys.executable, "-c", SOCKET_ACTIVATION_PROGRAM, str(file_3), *argv)
    process = await asyncio.create_subprocess_exec(
        *argv, env=env, cwd=tmp_path, stderr=asyncio.subprocess.PIPE, pass_fds=() if file_3 is None else (file_3,)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def send_streamed_request(url: str, ended: Counter[str]) -> None:
    """Send a streamed request on its own connection, as a proxy does, and count how it ended.

    The gateway may ask only queued requests to retry.
    """
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v1/chat/completions", json=BODY) as response,
        ):
            text = await response.text()
            if response.status == 503 and int(response.headers["Retry-After"]) == 1:
                ended["asked to retry"] += 1
                return
            is_complete = "w19" in text and text.rstrip().endswith("data: [DONE]")
            ended["complete" if is_complete else f"{response.status} interrupted"] += 1
    except aiohttp.ClientError as error:
        ended[type(error).__name__] += 1


@pytest.mark.promise("stop.replaced")
async def test_restarts_under_load_reject_no_client_and_interrupt_no_stream(
    tmp_path: Path, upstream: FakeAnthropic, notify_socket: socket.socket
) -> None:
    settings = {"CHAT_WORKERS": "2", "CHAT_SPARE_WORKERS": "0", "NOTIFY_SOCKET": str(tmp_path / "notify")}
    env = build_process_env(tmp_path, **fake_api_env(upstream) | settings, WATCHDOG_USEC="2000000")
    ended: Counter[str] = Counter()
    done = asyncio.Event()

    async def run_client(url: str) -> None:
        while not done.is_set():
            await send_streamed_request(url, ended)

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        load: list[asyncio.Task[None]] = []
        for number in range(1 + RESTART_COUNT):
            async with run_program(SERVE, env, tmp_path, file_3=listener.fileno()) as gateway:
                messages = await read_notifications_until(notify_socket, "READY=1")
                assert f"STATUS=Serving on {url}" in messages[-1]
                await read_notifications_until(notify_socket, "WATCHDOG=1")
                load = load or [asyncio.create_task(run_client(url)) for _ in range(CLIENT_COUNT)]
                enough = ended.total() + 2 * CLIENT_COUNT
                while ended.total() < enough:
                    await asyncio.wait(load, timeout=0.05)
                if number == RESTART_COUNT:
                    done.set()
                    await asyncio.gather(*load)
                gateway.send_signal(signal.SIGTERM)
                await read_notifications_until(notify_socket, "STOPPING=1")
                assert await asyncio.wait_for(gateway.wait(), 30) == 0
    retry_count = ended.pop("asked to retry", 0)
    assert retry_count <= CLIENT_COUNT * (1 + RESTART_COUNT)
    assert ended.keys() == {"complete"}
    assert len(upstream.chat_requests) == ended["complete"]


async def test_systemd_socket_activate_starts_the_gateway_with_the_first_client(
    tmp_path: Path, upstream: FakeAnthropic
) -> None:
    require_programs({"systemd-socket-activate": "systemd"})
    env = build_process_env(tmp_path, **fake_api_env(upstream))
    variables = (word for name, value in env.items() for word in ("-E", f"{name}={value}"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    activate = ("systemd-socket-activate", "-l", address, *variables, *SERVE)
    async with run_program(activate, env, tmp_path) as process:
        assert "Listening on" in await read_first_log_line(process)
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/health/ready") as ready:
            assert ready.status == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.promise("stop.no-orphan")
async def test_no_process_remains_two_seconds_after_a_kill(tmp_path: Path, upstream: FakeAnthropic) -> None:
    """This includes the processes of a command that Claude runs, in a sandbox within a sandbox with its own session."""
    require_programs({"bwrap": "bubblewrap", "socat": "socat", "rg": "ripgrep"})
    env = build_process_env(tmp_path, **fake_api_env(upstream), API_KEY="k")
    headers = {"authorization": "Bearer k"}
    async with run_program(SERVE, env, tmp_path) as gateway, aiohttp.ClientSession(headers=headers) as session:
        url = (await read_first_log_line(gateway)).split()[-1]
        body = {
            "model": BODY["model"],
            "enable_tools": True,
            "messages": [{"role": "user", "content": '{{tool Bash {"command": "exec sleep 600.125"}}}'}],
        }
        sending = asyncio.create_task(_post(session, f"{url}/v1/chat/completions", body))
        async with asyncio.timeout(30):
            while not _is_running("600.125"):  # noqa: ASYNC110 - a process in a sandbox sends no event
                await asyncio.sleep(0.05)
        children = psutil.Process(gateway.pid).children(recursive=True)
        assert len(children) >= 4
        gateway.kill()
        await gateway.wait()
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=2)
        assert alive == []
        with pytest.raises(aiohttp.ClientError):
            await sending


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with session.post(url, json=body):
        pass


def _is_running(argument: str) -> bool:
    return any(argument in (process.info["cmdline"] or [])[-1:] for process in psutil.process_iter(["cmdline"]))


@pytest.mark.promise("settings.reloaded")
async def test_sighup_reloads_settings_and_ignores_invalid_ones(
    tmp_path: Path, upstream: FakeAnthropic, notify_socket: socket.socket
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("API_KEY=old\n")
    env = build_process_env(tmp_path, **fake_api_env(upstream), NOTIFY_SOCKET=str(tmp_path / "notify"))

    async def is_accepted(session: aiohttp.ClientSession, url: str, key: str) -> bool:
        async with session.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"}) as response:
            return response.status == 200

    async with run_program(SERVE, env, tmp_path) as gateway, aiohttp.ClientSession() as session:
        url = (await read_first_log_line(gateway)).split()[-1]
        await read_notifications_until(notify_socket, "READY=1")
        assert await is_accepted(session, url, "old")
        for text, accepted, rejected, message in (
            ("API_KEY=new\nQUEUE_TIMEOUT_SECONDS=7\n", "new", "old", "changed: API_KEY"),
            ("API_KEY=newer\nMAX_QUEUED_JOBS=many\n", "new", "newer", "stay as they were: setting MAX_QUEUED_JOBS"),
        ):
            env_file.write_text(text)
            gateway.send_signal(signal.SIGHUP)
            assert [word.partition("\n")[0] for word in await read_notifications_until(notify_socket, "READY=1")] == [
                "RELOADING=1",
                "READY=1",
            ]
            assert await is_accepted(session, url, accepted)
            assert not await is_accepted(session, url, rejected)
            assert message in await read_first_log_line(gateway)
            if "QUEUE_TIMEOUT" in text:
                assert "restart to change: QUEUE_TIMEOUT_SECONDS" in await read_first_log_line(gateway)
        gateway.terminate()
        assert await asyncio.wait_for(gateway.wait(), 30) == 0
