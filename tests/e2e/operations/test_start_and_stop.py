"""The console command in the hands of an operator: one clear line if it cannot start, nothing left when it exits."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from claude_gateway.auth.models import FIRST_KEY_COMMAND
from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic
from claude_gateway.model_catalog.catalog import DEFAULT_FAMILY_MODELS
from claude_gateway.storage.database import DATABASE_FILE_NAME
from tests.e2e.helpers.gateway_process import (
    build_process_env,
    fake_api_env,
    read_first_log_line,
    read_gateway_url,
    run_failing_start,
    run_gateway_process,
)
from tests.e2e.helpers.processes import list_child_pids, wait_exited

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]


def read_image_config() -> tuple[list[str], dict[str, str]]:
    """Return the command of the container image, and the environment variables that it sets."""
    text = (ROOT / "deploy/docker/Dockerfile").read_text().rpartition("\nFROM ")[2]
    command = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[-1])
    (assignments,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return command, dict(one.split("=", 1) for one in assignments.replace("\\\n", " ").split())


async def test_image_starts_with_only_an_anthropic_key_and_a_client_key(
    tmp_path: Path, upstream: FakeAnthropic
) -> None:
    """Start the gateway as `docker run -e ANTHROPIC_API_KEY=… -e API_KEY=…` does, with the fake Anthropic API."""
    command, variables = read_image_config()
    home = variables["HOME"]
    env = {name: value.replace(home, str(tmp_path)) for name, value in variables.items()}
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PORT": "0"}
    env |= {"ANTHROPIC_API_KEY": FAKE_API_KEY, "API_KEY": "your-api-key", "ANTHROPIC_BASE_URL": upstream.url}
    process = await asyncio.create_subprocess_exec(*command, env=env, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    try:
        url = (await read_gateway_url(process)).replace("0.0.0.0", "127.0.0.1")
        async with aiohttp.ClientSession(url, headers={"authorization": "Bearer your-api-key"}) as session:
            async with session.get("/v1/auth/status") as status:
                auth_status = await status.json()
            body = {"model": "sonnet", "messages": [{"role": "user", "content": "hi"}]}
            async with session.post("/v1/chat/completions", json=body) as response:
                assert response.status == 200
    finally:
        process.kill()
        await process.wait()
    assert "api_key" in json.dumps(auth_status)


async def test_two_logins_are_reported_in_one_line(tmp_path: Path) -> None:
    env = {"ANTHROPIC_API_KEY": FAKE_API_KEY, "CLAUDE_CODE_USE_BEDROCK": "1"}
    status, lines = await run_failing_start(tmp_path, env)
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith("claude-gateway: CLAUDE_CODE_USE_BEDROCK and ANTHROPIC_API_KEY each select a login")
    assert "CLAUDE_AUTH_METHOD" in lines[0]


async def test_missing_binary_is_reported_in_one_line(tmp_path: Path, upstream: FakeAnthropic) -> None:
    status, lines = await run_failing_start(tmp_path, {**fake_api_env(upstream), "CLAUDE_CLI_PATH": "/nowhere/claude"})
    assert (status, len(lines)) == (1, 1)
    assert "/nowhere/claude" in lines[0]
    assert "CLAUDE_CLI_PATH" in lines[0]


async def test_binary_that_is_not_claude_is_reported_in_one_line(tmp_path: Path, upstream: FakeAnthropic) -> None:
    status, lines = await run_failing_start(tmp_path, {**fake_api_env(upstream), "CLAUDE_CLI_PATH": "/bin/false"})
    assert (status, len(lines)) == (1, 1)
    assert "exited while it started" in lines[0]


async def test_port_in_use_is_reported_in_one_line(tmp_path: Path, upstream: FakeAnthropic) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        status, lines = await run_failing_start(tmp_path, {**fake_api_env(upstream), "PORT": port})
    assert (status, len(lines)) == (1, 1)
    assert port in lines[0]
    assert "PORT" in lines[0]


@pytest.mark.parametrize("state_dir", ["/dev/null", "/proc/nowhere"])
async def test_impossible_state_directory_is_reported_in_one_line(
    tmp_path: Path, upstream: FakeAnthropic, state_dir: str
) -> None:
    status, lines = await run_failing_start(tmp_path, {**fake_api_env(upstream), "STATE_DIR": state_dir})
    assert (status, len(lines)) == (1, 1)
    assert "STATE_DIR" in lines[0]


async def test_connections_above_the_limit_are_closed_and_the_others_served(
    tmp_path: Path, upstream: FakeAnthropic
) -> None:
    async with run_gateway_process(tmp_path, {**fake_api_env(upstream), "MAX_CONNECTIONS": "5"}) as process:
        host, port = (await read_gateway_url(process)).removeprefix("http://").split(":")
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
async def test_invalid_setting_is_reported_without_its_value(tmp_path: Path) -> None:
    status, lines = await run_failing_start(tmp_path, {"CHAT_WORKERS": "many-secrets"})
    assert (status, len(lines)) == (2, 1)
    assert "CHAT_WORKERS" in lines[0]
    assert "many-secrets" not in lines[0]


async def test_alias_for_an_unknown_model_is_reported_in_one_line(tmp_path: Path, upstream: FakeAnthropic) -> None:
    status, lines = await run_failing_start(tmp_path, {**fake_api_env(upstream), "MODEL_ALIASES": "gpt-4o=hiaku"})
    assert (status, len(lines)) == (1, 1)
    assert "MODEL_ALIASES: the target of the alias gpt-4o" in lines[0]


async def test_missing_login_is_reported_in_one_line(tmp_path: Path) -> None:
    status, lines = await run_failing_start(tmp_path, {"CLAUDE_AUTH_METHOD": "cli"})
    assert (status, len(lines)) == (1, 1)
    assert "claude-gateway login" in lines[0]


@pytest.mark.promise("state.one-gateway")
@pytest.mark.parametrize("others", [{}, {"CLAUDE_CWD": "elsewhere"}], ids=["same-directories", "other-claude-cwd"])
async def test_second_gateway_on_a_state_directory_is_refused_and_changes_nothing(
    tmp_path: Path, upstream: FakeAnthropic, others: dict[str, str]
) -> None:
    state = tmp_path / "state"
    env = {**fake_api_env(upstream), "STATE_DIR": str(state)}
    body = {
        "model": "sonnet",
        "stream": True,
        "messages": [{"role": "user", "content": "{{deltas 2000}} {{pace 0.1}}"}],
    }

    def jobs() -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(state / DATABASE_FILE_NAME)) as database:
            return database.execute("SELECT id, result, total_ms FROM usage_records").fetchall()

    async with (
        run_gateway_process(tmp_path, env) as first,
        aiohttp.ClientSession(await read_gateway_url(first)) as session,
        session.post("/v1/chat/completions", json=body) as response,
    ):
        await response.content.readuntil(b"\n\n")
        async with session.get("/v1/usage") as usage:  # the gateway writes pending usage records before it responds
            assert usage.status == 200
        before = jobs()
        status, lines = await run_failing_start(tmp_path, env | others)
        assert (await asyncio.to_thread(jobs)) == before
    assert "running" in {result for _, result, _ in before}
    assert (status, len(lines)) == (1, 1)
    assert "STATE_DIR" in lines[0]
    assert not (tmp_path / "elsewhere").exists()


async def test_sigterm_stops_the_gateway_and_every_worker(tmp_path: Path, upstream: FakeAnthropic) -> None:
    async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process:
        await read_gateway_url(process)
        workers = list_child_pids(process.pid)
        assert workers
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await wait_exited(workers)


@pytest.mark.promise("stop.drains")
async def test_sigterm_lets_a_running_reply_finish(tmp_path: Path, upstream: FakeAnthropic) -> None:
    async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process, aiohttp.ClientSession() as session:
        url = await read_gateway_url(process)
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
async def test_workers_of_a_killed_gateway_exit(tmp_path: Path, upstream: FakeAnthropic) -> None:
    async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process:
        await read_gateway_url(process)
        workers = list_child_pids(process.pid)
        assert workers
        process.kill()
        await wait_exited(workers)


@pytest.mark.promise("isolation.environment")
async def test_secrets_are_in_no_argv_and_only_the_listed_variables_reach_a_worker(
    tmp_path: Path, upstream: FakeAnthropic
) -> None:
    env = {**fake_api_env(upstream), "API_KEY": "key-of-the-clients", "AWS_SECRET_ACCESS_KEY": "other", "LD_DEBUG": ""}
    async with run_gateway_process(tmp_path, env) as process:
        await read_gateway_url(process)
        for worker in list_child_pids(process.pid):
            argv = Path(f"/proc/{worker}/cmdline").read_text()
            variables = dict(
                pair.split("=", 1) for pair in Path(f"/proc/{worker}/environ").read_text().split("\0") if pair
            )
            assert FAKE_API_KEY not in argv
            assert "key-of-the-clients" not in f"{argv}{variables}"
            assert not {"API_KEY", "AWS_SECRET_ACCESS_KEY", "LD_DEBUG", "PORT"} & variables.keys()
            assert variables["HOME"] != str(tmp_path)


async def test_small_endpoints_respond_with_200(tmp_path: Path, upstream: FakeAnthropic) -> None:
    async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process, aiohttp.ClientSession() as session:
        url = await read_gateway_url(process)
        answers = {}
        for path in ("/health", "/health/live", "/health/ready", "/version", "/v1/models", "/v1/auth/status"):
            async with session.get(url + path) as response:
                assert response.status == 200, path
                answers[path] = await response.json()
    assert answers["/health"]["status"] == "healthy"
    assert answers["/version"]["cli_version"].startswith("2.")
    assert {model["id"] for model in answers["/v1/models"]["data"]} == set(DEFAULT_FAMILY_MODELS.values())
    assert answers["/v1/auth/status"]["claude_code_auth"]["status"]["valid"] is True


async def test_demo_runs_one_chat_and_leaves_no_process(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli.main", "demo", "echo this please"),
        env=build_process_env(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    assert "echo this please" in output.decode()
    assert "first token after" in output.decode()
    assert "no process still runs" in output.decode()


async def test_first_start_explains_how_to_create_the_first_key(tmp_path: Path, upstream: FakeAnthropic) -> None:
    async with run_gateway_process(tmp_path, fake_api_env(upstream)) as process:
        await read_gateway_url(process)
        assert FIRST_KEY_COMMAND in await read_first_log_line(process)
