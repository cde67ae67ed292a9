"""A gateway that runs as a process of its own, started with `claude-gateway serve`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic


def build_process_env(tmp_path: Path, **settings: str) -> dict[str, str]:
    """Return an environment without the variables of the test process, so that none of them affects the gateway."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLAUDE_WRAPPER_HOST": "127.0.0.1",
        "PORT": "0",
    } | settings


def fake_api_env(upstream: FakeAnthropic) -> dict[str, str]:
    return {
        "CLAUDE_AUTH_METHOD": "api_key",
        "ANTHROPIC_API_KEY": FAKE_API_KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
        "CHAT_WORKERS": "1",
        "MAX_CHAT_PROCESSES": "2",
        "RATE_LIMIT_ENABLED": "false",
    }


@asynccontextmanager
async def run_gateway_process(tmp_path: Path, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli.main", "serve"),
        env=build_process_env(tmp_path, **env),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def read_first_log_line(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    return (await asyncio.wait_for(process.stderr.readline(), 120)).decode().strip()


async def read_gateway_url(process: asyncio.subprocess.Process) -> str:
    line = await read_first_log_line(process)
    assert "serves on" in line, line
    return line.split()[-1]


async def run_failing_start(tmp_path: Path, env: dict[str, str]) -> tuple[int, list[str]]:
    async with run_gateway_process(tmp_path, env) as process:
        _, stderr = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode is not None
        return process.returncode, stderr.decode().strip().splitlines()
