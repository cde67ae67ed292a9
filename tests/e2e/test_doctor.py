"""`claude-gateway doctor` on set-ups that are well and on such that are not, with the real CLI."""

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

from claude_gateway.claude_code.bundled_cli import bundled_cli, bundled_version
from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn
from claude_gateway.doctor import addresses
from claude_gateway.doctor.examination import examine
from claude_gateway.doctor.findings import State
from claude_gateway.doctor.machine import Machine
from tests.e2e.conftest import API_KEY, gateway_on, settings
from tests.e2e.test_start_and_stop import environment, for_stand_in
from tests.installed import SANDBOX, need

pytestmark = pytest.mark.e2e

SECRET = "a-secret-key-of-the-callers"
LONG, SHORT = 30.0, 0.5
PINNED = re.escape(bundled_version())


async def doctor(tmp_path: Path, env: dict[str, str]) -> tuple[int, dict[str, Any], str]:
    """Its exit status, its findings by subject, and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli", "doctor", "--json"),
        env=environment(tmp_path, **env),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, {line["subject"]: line for line in json.loads(said)}, said.decode()


@pytest.mark.promise("doctor.asks")
async def test_a_healthy_set_up_is_well_no_secret_is_told_and_nothing_sent_upstream(
    tmp_path: Path, upstream: StandIn
) -> None:
    need(SANDBOX)
    status, found, said = await doctor(tmp_path, for_stand_in(upstream) | {"API_KEY": SECRET})
    assert status == 0
    assert {line["state"] for line in found.values()} == {"ok", "skipped"}, found
    assert "ANTHROPIC_API_KEY" in found["Login (api_key)"]["seen"]
    assert upstream.received == []
    assert STAND_IN_KEY not in said
    assert SECRET not in said
    assert not (tmp_path / ".local").exists()


async def test_without_a_binary_there_is_nothing_to_ask(tmp_path: Path, upstream: StandIn) -> None:
    status, found, _ = await doctor(tmp_path, for_stand_in(upstream) | {"CLAUDE_CLI_PATH": "/nowhere/claude"})
    assert status == 1
    assert found["Claude Code"]["state"] == "failed"
    assert "/nowhere/claude" in found["Claude Code"]["seen"]


async def test_a_binary_that_does_not_start_is_named(tmp_path: Path, upstream: StandIn) -> None:
    status, found, _ = await doctor(tmp_path, for_stand_in(upstream) | {"CLAUDE_CLI_PATH": "/bin/false"})
    assert status == 1
    assert "does not start" in found["Claude Code"]["seen"]


async def test_no_login_is_named_with_the_way_to_one(tmp_path: Path) -> None:
    status, found, _ = await doctor(tmp_path, {"CLAUDE_AUTH_METHOD": "cli"})
    assert status == 1
    assert found["Login (cli)"]["state"] == "failed"
    assert "claude-gateway login" in found["Login (cli)"]["remedy"]


async def test_another_version_is_a_warning(tmp_path: Path, upstream: StandIn) -> None:
    other = tmp_path / "claude"
    other.write_text(f'#!/bin/sh\n{bundled_cli()} "$@" | sed -u "s/{PINNED}/9.9.9/g"\n')
    other.chmod(0o700)
    status, found, _ = await doctor(tmp_path, for_stand_in(upstream) | {"CLAUDE_CLI_PATH": str(other)})
    assert (status, found["Version of Claude Code"]["state"]) == (0, "warning")
    assert "9.9.9" in found["Version of Claude Code"]["seen"]


async def test_a_full_disk_is_named(tmp_path: Path, upstream: StandIn) -> None:
    full = Machine(free_bytes=lambda _: 10 * 2**20)
    findings = await examine(settings(upstream, tmp_path), None, full)
    (disk,) = (finding for finding in findings if finding.subject == "Free disk")
    assert (disk.state, disk.seen.split(" at ")[0]) == (State.FAILED, "10 MiB")


@asynccontextmanager
async def buffering(upstream: str) -> AsyncIterator[str]:
    """A proxy that hands on what it got when it has all of it."""

    async def hold_back(request: web.Request) -> web.Response:
        headers = {"authorization": request.headers["authorization"]}
        async with aiohttp.ClientSession() as http, http.get(upstream + request.path, headers=headers) as got:
            return web.Response(body=await got.read(), status=got.status)

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
async def test_a_proxy_that_holds_streams_back_is_told_from_none(tmp_path: Path, upstream: StandIn) -> None:
    async with asyncio.timeout(60), gateway_on(upstream, tmp_path, heartbeat_seconds=0.2) as gateway:
        straight = await addresses.streaming(gateway.url, API_KEY, LONG)
        assert straight.state is State.OK, straight
        async with buffering(gateway.url) as proxy:
            held_back = await addresses.streaming(proxy, API_KEY, SHORT)
        assert held_back.state is State.FAILED
        assert "held back" in held_back.seen
        assert "proxy_buffering off" in held_back.remedy
        for key in (None, "a-wrong-key"):
            refused = await addresses.streaming(gateway.url, key, LONG)
            assert refused.state is State.FAILED
            assert "API_KEY" in refused.remedy
            assert "a-wrong-key" not in str(refused)
