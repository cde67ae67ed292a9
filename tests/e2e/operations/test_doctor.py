"""`claude-gateway doctor` on healthy and on broken setups, with the real CLI."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from claude_gateway.claude_code.binary import find_bundled_binary, read_bundled_version
from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic
from claude_gateway.doctor import network
from claude_gateway.doctor.host import HostProbe
from claude_gateway.doctor.result import CheckStatus
from claude_gateway.doctor.run import run_doctor
from tests.e2e.helpers.gateway import API_KEY, gateway_settings, run_gateway_on
from tests.e2e.helpers.gateway_process import build_process_env, fake_api_env
from tests.installed import SANDBOX_PROGRAMS, require_programs

pytestmark = pytest.mark.e2e

SECRET = "a-secret-key-of-the-clients"
LONG, SHORT = 30.0, 0.5
PINNED = re.escape(read_bundled_version())


async def run_doctor_command(tmp_path: Path, env: dict[str, str]) -> tuple[int, dict[str, Any], str]:
    """Return the exit status, the findings by subject, and the whole output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli.main", "doctor", "--json"),
        env=build_process_env(tmp_path, **env),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, {line["subject"]: line for line in json.loads(output)}, output.decode()


@pytest.mark.promise("doctor.asks")
async def test_healthy_setup_passes_without_secrets_in_the_report_or_upstream_requests(
    tmp_path: Path, upstream: FakeAnthropic
) -> None:
    require_programs(SANDBOX_PROGRAMS)
    status, findings, output = await run_doctor_command(tmp_path, fake_api_env(upstream) | {"API_KEY": SECRET})
    assert status == 0
    assert {line["state"] for line in findings.values()} == {"ok", "skipped"}, findings
    assert "ANTHROPIC_API_KEY" in findings["Login (api_key)"]["seen"]
    assert upstream.requests == []
    assert FAKE_API_KEY not in output
    assert SECRET not in output
    assert not (tmp_path / ".local").exists()


async def test_missing_binary_skips_the_checks_that_need_it(tmp_path: Path, upstream: FakeAnthropic) -> None:
    status, findings, _ = await run_doctor_command(
        tmp_path, fake_api_env(upstream) | {"CLAUDE_CLI_PATH": "/nowhere/claude"}
    )
    assert status == 1
    assert findings["Claude Code"]["state"] == "failed"
    assert "/nowhere/claude" in findings["Claude Code"]["seen"]


async def test_binary_that_does_not_start_is_reported(tmp_path: Path, upstream: FakeAnthropic) -> None:
    status, findings, _ = await run_doctor_command(tmp_path, fake_api_env(upstream) | {"CLAUDE_CLI_PATH": "/bin/false"})
    assert status == 1
    assert "does not start" in findings["Claude Code"]["seen"]


async def test_missing_login_is_reported_with_a_fix(tmp_path: Path) -> None:
    status, findings, _ = await run_doctor_command(tmp_path, {"CLAUDE_AUTH_METHOD": "cli"})
    assert status == 1
    assert findings["Login (cli)"]["state"] == "failed"
    assert "claude-gateway login" in findings["Login (cli)"]["remedy"]


async def test_other_cli_version_is_a_warning(tmp_path: Path, upstream: FakeAnthropic) -> None:
    other = tmp_path / "claude"
    other.write_text(f'#!/bin/sh\n{find_bundled_binary()} "$@" | sed -u "s/{PINNED}/9.9.9/g"\n')
    other.chmod(0o700)
    status, findings, _ = await run_doctor_command(tmp_path, fake_api_env(upstream) | {"CLAUDE_CLI_PATH": str(other)})
    assert (status, findings["Version of Claude Code"]["state"]) == (0, "warning")
    assert "9.9.9" in findings["Version of Claude Code"]["seen"]


async def test_full_disk_is_reported(tmp_path: Path, upstream: FakeAnthropic) -> None:
    full = HostProbe(free_bytes=lambda _: 10 * 2**20)
    findings = await run_doctor(gateway_settings(upstream, tmp_path), None, full)
    (disk,) = (finding for finding in findings if finding.subject == "Free disk")
    assert (disk.status, disk.detail.split(" at ")[0]) == (CheckStatus.FAILED, "10 MiB")


@asynccontextmanager
async def run_buffering_proxy(upstream: str) -> AsyncIterator[str]:
    """Run a proxy that forwards a response only when it is complete."""

    async def hold_back(request: web.Request) -> web.Response:
        headers = {"authorization": request.headers["authorization"]}
        async with aiohttp.ClientSession() as http, http.get(upstream + request.path, headers=headers) as response:
            return web.Response(body=await response.read(), status=response.status)

    app = web.Application()
    app.router.add_get("/{path:.*}", hold_back)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.promise("doctor.buffering")
async def test_proxy_that_buffers_streams_is_detected(tmp_path: Path, upstream: FakeAnthropic) -> None:
    async with asyncio.timeout(60), run_gateway_on(upstream, tmp_path, heartbeat_interval_seconds=0.2) as gateway:
        direct = await network.probe_streaming(gateway.url, API_KEY, LONG)
        assert direct.status is CheckStatus.OK, direct
        async with run_buffering_proxy(gateway.url) as proxy:
            buffered = await network.probe_streaming(proxy, API_KEY, SHORT)
        assert buffered.status is CheckStatus.FAILED
        assert "held back" in buffered.detail
        assert "proxy_buffering off" in buffered.remedy
        for key in (None, "a-wrong-key"):
            result = await network.probe_streaming(gateway.url, key, LONG)
            assert result.status is CheckStatus.FAILED
            assert "API_KEY" in result.remedy
            assert "a-wrong-key" not in str(result)
