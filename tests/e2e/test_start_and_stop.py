"""The console command as a person meets it: one clear line when it cannot start, nothing left when it ends."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from claude_gateway.access.keys import FIRST_KEY_COMMAND
from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn
from claude_gateway.models.catalogue import CURRENT
from claude_gateway.stores.db import DATABASE

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def environment(tmp_path: Path, **settings: str) -> dict[str, str]:
    """A scrubbed environment: nothing of the machine's own reaches the gateway under test."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLAUDE_WRAPPER_HOST": "127.0.0.1",
        "PORT": "0",
    } | settings


def for_stand_in(upstream: StandIn) -> dict[str, str]:
    return {
        "CLAUDE_AUTH_METHOD": "api_key",
        "ANTHROPIC_API_KEY": STAND_IN_KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
        "CHAT_WORKERS": "1",
        "RATE_LIMIT_ENABLED": "false",
    }


@asynccontextmanager
async def serving(tmp_path: Path, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli", "serve"),
        env=environment(tmp_path, **env),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    return (await asyncio.wait_for(process.stderr.readline(), 30)).decode().strip()


async def address(process: asyncio.subprocess.Process) -> str:
    line = await first_line(process)
    assert "serves on" in line, line
    return line.split()[-1]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def gone(pids: list[int]) -> None:
    """Wait until the system has none of these processes any more."""
    living = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = await asyncio.to_thread(psutil.wait_procs, living, timeout=10)
    assert not alive


async def fails_with(tmp_path: Path, env: dict[str, str]) -> tuple[int, list[str]]:
    async with serving(tmp_path, env) as process:
        _, stderr = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, stderr.decode().strip().splitlines()


def image() -> tuple[list[str], dict[str, str]]:
    """The command of the container image, and the variables that it sets."""
    text = (ROOT / "deploy/docker/Dockerfile").read_text().rpartition("\nFROM ")[2]
    command = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[-1])
    (assignments,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return command, dict(one.split("=", 1) for one in assignments.replace("\\\n", " ").split())


async def test_the_image_starts_with_an_anthropic_key_and_a_key_for_callers_alone(
    tmp_path: Path, upstream: StandIn
) -> None:
    """As `docker run -e ANTHROPIC_API_KEY=… -e API_KEY=…` starts it; the stand-in takes the place of Anthropic."""
    command, variables = image()
    home = variables["HOME"]
    env = {name: value.replace(home, str(tmp_path)) for name, value in variables.items()}
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PORT": "0"}
    env |= {"ANTHROPIC_API_KEY": STAND_IN_KEY, "API_KEY": "your-api-key", "ANTHROPIC_BASE_URL": upstream.url}
    process = await asyncio.create_subprocess_exec(*command, env=env, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    try:
        url = (await address(process)).replace("0.0.0.0", "127.0.0.1")
        async with aiohttp.ClientSession(url, headers={"authorization": "Bearer your-api-key"}) as session:
            async with session.get("/v1/auth/status") as status:
                told = await status.json()
            asked = {"model": "sonnet", "messages": [{"role": "user", "content": "hi"}]}
            async with session.post("/v1/chat/completions", json=asked) as answer:
                assert answer.status == 200
    finally:
        process.kill()
        await process.wait()
    assert "api_key" in json.dumps(told)


async def test_two_logins_are_one_clear_line(tmp_path: Path) -> None:
    env = {"ANTHROPIC_API_KEY": STAND_IN_KEY, "CLAUDE_CODE_USE_BEDROCK": "1"}
    status, lines = await fails_with(tmp_path, env)
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith("claude-gateway: CLAUDE_CODE_USE_BEDROCK and ANTHROPIC_API_KEY each choose a login")
    assert "CLAUDE_AUTH_METHOD" in lines[0]


async def test_a_missing_binary_is_one_clear_line(tmp_path: Path, upstream: StandIn) -> None:
    status, lines = await fails_with(tmp_path, {**for_stand_in(upstream), "CLAUDE_CLI_PATH": "/nowhere/claude"})
    assert (status, len(lines)) == (1, 1)
    assert "/nowhere/claude" in lines[0]
    assert "CLAUDE_CLI_PATH" in lines[0]


async def test_a_binary_that_is_no_claude_is_one_clear_line(tmp_path: Path, upstream: StandIn) -> None:
    status, lines = await fails_with(tmp_path, {**for_stand_in(upstream), "CLAUDE_CLI_PATH": "/bin/false"})
    assert (status, len(lines)) == (1, 1)
    assert "ended while it started" in lines[0]


async def test_a_taken_port_is_one_clear_line(tmp_path: Path, upstream: StandIn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = str(owner.getsockname()[1])
        status, lines = await fails_with(tmp_path, {**for_stand_in(upstream), "PORT": port})
    assert (status, len(lines)) == (1, 1)
    assert port in lines[0]
    assert "PORT" in lines[0]


@pytest.mark.parametrize("place", ["/dev/null", "/proc/nowhere"])
async def test_a_state_directory_that_cannot_be_is_one_clear_line(
    tmp_path: Path, upstream: StandIn, place: str
) -> None:
    status, lines = await fails_with(tmp_path, {**for_stand_in(upstream), "STATE_DIR": place})
    assert (status, len(lines)) == (1, 1)
    assert "STATE_DIR" in lines[0]


async def test_connections_past_the_limit_are_closed_and_the_others_served(tmp_path: Path, upstream: StandIn) -> None:
    async with serving(tmp_path, {**for_stand_in(upstream), "MAX_CONNECTIONS": "5"}) as process:
        host, port = (await address(process)).removeprefix("http://").split(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await asyncio.wait_for(reader.read(), 10) == b""
        reader, served = held[0]
        served.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        for one in (writer, *(open_writer for _, open_writer in held)):
            one.close()
            await one.wait_closed()


@pytest.mark.promise("settings.bad-value")
async def test_a_bad_setting_is_named_without_its_value(tmp_path: Path) -> None:
    status, lines = await fails_with(tmp_path, {"CHAT_WORKERS": "many-secrets"})
    assert (status, len(lines)) == (2, 1)
    assert "CHAT_WORKERS" in lines[0]
    assert "many-secrets" not in lines[0]


async def test_an_alias_for_no_model_is_one_clear_line(tmp_path: Path, upstream: StandIn) -> None:
    status, lines = await fails_with(tmp_path, {**for_stand_in(upstream), "MODEL_ALIASES": "gpt-4o=hiaku"})
    assert (status, len(lines)) == (1, 1)
    assert "MODEL_ALIASES: the alias gpt-4o" in lines[0]


async def test_no_login_is_one_clear_line(tmp_path: Path) -> None:
    status, lines = await fails_with(tmp_path, {"CLAUDE_AUTH_METHOD": "cli"})
    assert (status, len(lines)) == (1, 1)
    assert "claude-gateway login" in lines[0]


@pytest.mark.promise("state.one-gateway")
@pytest.mark.parametrize("others", [{}, {"CLAUDE_CWD": "elsewhere"}], ids=["same-directories", "other-claude-cwd"])
async def test_a_second_gateway_of_a_state_directory_is_refused_and_changes_nothing(
    tmp_path: Path, upstream: StandIn, others: dict[str, str]
) -> None:
    state = tmp_path / "state"
    env = {**for_stand_in(upstream), "STATE_DIR": str(state)}
    asked = {
        "model": "sonnet",
        "stream": True,
        "messages": [{"role": "user", "content": "{{deltas 2000}} {{pace 0.1}}"}],
    }

    def jobs() -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(state / DATABASE)) as database:
            return database.execute("SELECT id, result, total_ms FROM ledger").fetchall()

    async with (
        serving(tmp_path, env) as first,
        aiohttp.ClientSession(await address(first)) as session,
        session.post("/v1/chat/completions", json=asked) as answer,
    ):
        await answer.content.readuntil(b"\n\n")
        async with session.get("/v1/usage") as usage:  # what was noted is written before it is answered
            assert usage.status == 200
        before = jobs()
        status, lines = await fails_with(tmp_path, env | others)
        assert (await asyncio.to_thread(jobs)) == before
    assert "begun" in {result for _, result, _ in before}
    assert (status, len(lines)) == (1, 1)
    assert "STATE_DIR" in lines[0]
    assert not (tmp_path / "elsewhere").exists()


async def test_sigterm_ends_the_gateway_and_every_worker(tmp_path: Path, upstream: StandIn) -> None:
    async with serving(tmp_path, for_stand_in(upstream)) as process:
        await address(process)
        workers = children(process.pid)
        assert workers
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await gone(workers)


@pytest.mark.promise("stop.drains")
async def test_sigterm_lets_a_running_answer_finish(tmp_path: Path, upstream: StandIn) -> None:
    async with serving(tmp_path, for_stand_in(upstream)) as process, aiohttp.ClientSession() as session:
        url = await address(process)
        body = {
            "model": "claude-sonnet-4-5-20250929",
            "stream": True,
            "messages": [{"role": "user", "content": "{{deltas 30}}{{pace 0.02}}"}],
        }
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            await response.content.readline()
            process.send_signal(signal.SIGTERM)
            rest = await response.text()
        assert rest.rstrip().endswith("data: [DONE]")
        assert "w29" in rest


@pytest.mark.promise("stop.no-orphan")
async def test_a_gateway_that_is_killed_takes_its_workers_with_it(tmp_path: Path, upstream: StandIn) -> None:
    async with serving(tmp_path, for_stand_in(upstream)) as process:
        await address(process)
        workers = children(process.pid)
        assert workers
        process.kill()
        await gone(workers)


@pytest.mark.promise("isolation.environment")
async def test_secrets_are_in_no_argv_and_only_the_listed_variables_reach_a_worker(
    tmp_path: Path, upstream: StandIn
) -> None:
    env = {**for_stand_in(upstream), "API_KEY": "key-of-the-callers", "AWS_SECRET_ACCESS_KEY": "other", "LD_DEBUG": ""}
    async with serving(tmp_path, env) as process:
        await address(process)
        for worker in children(process.pid):
            argv = Path(f"/proc/{worker}/cmdline").read_text()
            variables = dict(
                pair.split("=", 1) for pair in Path(f"/proc/{worker}/environ").read_text().split("\0") if pair
            )
            assert STAND_IN_KEY not in argv
            assert "key-of-the-callers" not in f"{argv}{variables}"
            assert not {"API_KEY", "AWS_SECRET_ACCESS_KEY", "LD_DEBUG", "PORT"} & variables.keys()
            assert variables["HOME"] != str(tmp_path)


async def test_the_small_endpoints_answer(tmp_path: Path, upstream: StandIn) -> None:
    async with serving(tmp_path, for_stand_in(upstream)) as process, aiohttp.ClientSession() as session:
        url = await address(process)
        answers = {}
        for path in ("/health", "/health/live", "/health/ready", "/version", "/v1/models", "/v1/auth/status"):
            async with session.get(url + path) as response:
                assert response.status == 200, path
                answers[path] = await response.json()
    assert answers["/health"]["status"] == "healthy"
    assert answers["/version"]["cli_version"].startswith("2.")
    assert {model["id"] for model in answers["/v1/models"]["data"]} == set(CURRENT.values())
    assert answers["/v1/auth/status"]["claude_code_auth"]["status"]["valid"] is True


async def test_the_demo_shows_one_chat_and_leaves_no_process(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli", "demo", "echo this please"),
        env=environment(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    assert "echo this please" in output.decode()
    assert "first token after" in output.decode()
    assert "no process is left" in output.decode()


async def test_a_first_start_says_how_the_first_key_is_made(tmp_path: Path, upstream: StandIn) -> None:
    async with serving(tmp_path, for_stand_in(upstream)) as process:
        await address(process)
        assert FIRST_KEY_COMMAND in await first_line(process)
