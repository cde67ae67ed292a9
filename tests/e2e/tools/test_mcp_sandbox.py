"""Attacks of a local MCP server on the gateway and on other servers, run by a real program in its sandbox."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, Gateway, run_gateway_on
from tests.e2e.helpers.mcp import (
    MCP_SETTINGS,
    MISBEHAVING_SERVER,
    READABLE_PATHS,
    connect_server,
    open_http_session,
    read_json_response,
)
from tests.e2e.helpers.processes import find_command_lines, wait_until
from tests.e2e.helpers.tool_directives import get_tool_result, tool_directive
from tests.installed import SANDBOX_PROGRAMS, require_programs

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ALLOCATE_1_GIB_COMMAND = "python3 -c 'bytearray(1 << 30)'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_mcp_gateway(tmp_path_factory: Any) -> AsyncIterator[tuple[Gateway, Path]]:
    """Run a gateway whose state is in a directory that MCP servers may read, beside other files."""
    require_programs(SANDBOX_PROGRAMS)
    readable = tmp_path_factory.mktemp("shown")
    readable.chmod(0o755)
    (readable / "notes.txt").write_text("for all programs")
    (readable / "drawer").mkdir(mode=0o777)
    (readable / "drawer").chmod(0o777)
    settings = MCP_SETTINGS | {
        "mcp_readable_paths": f"{READABLE_PATHS}:{readable}",
        "mcp_writable_paths": str(readable / "drawer"),
        "max_mcp_process_memory_mib": 512,
        "mcp_call_timeout_seconds": 20,
    }
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, readable / "state", **settings) as running,
        open_http_session(running) as http,
    ):
        for name in ("prowler", "neighbour", "bomber"):
            await connect_server(http, name, [*MISBEHAVING_SERVER, "prowl"])
        yield running, readable


@pytest.fixture
def readable_dir(shared_mcp_gateway: tuple[Gateway, Path]) -> Path:
    return shared_mcp_gateway[1]


RunInServer = Callable[..., Awaitable[str]]


@pytest.fixture
def run_in_server(shared_mcp_gateway: tuple[Gateway, Path]) -> RunInServer:
    async def run(command: str, server: str = "prowler") -> str:
        shared_mcp_gateway[0].upstream.clear()
        result = await get_tool_result(shared_mcp_gateway[0], tool_directive(f"mcp__{server}__look", command=command))
        assert "END" in result
        return str(json.loads(result)[0]["text"])

    return run


@pytest_asyncio.fixture(loop_scope="module")
async def http(shared_mcp_gateway: tuple[Gateway, Path]) -> AsyncIterator[aiohttp.ClientSession]:
    async with open_http_session(shared_mcp_gateway[0]) as session:
        yield session


@pytest.mark.promise("mcp.sandbox")
async def test_server_sees_its_readable_paths_and_nothing_of_the_gateway(
    run_in_server: RunInServer, readable_dir: Path
) -> None:
    assert (readable_dir / "state" / "gateway.db").exists()
    assert "for all programs" in await run_in_server(f"cat {readable_dir}/notes.txt")

    output = await run_in_server(
        f"cat {readable_dir}/state/gateway.db; find / -name 'gateway.db*' -o -name '.claude*' 2>/dev/null"
    )

    assert "SQLite" not in output
    assert [
        line for line in output.splitlines() if "find" not in line and "gateway.db" in line and "cat:" not in line
    ] == []
    assert ".claude" not in output
    assert "No such file" in await run_in_server("ls /root/.claude /var/lib /home/worker /run /etc/shadow")


async def test_server_sees_and_signals_only_its_own_processes(run_in_server: RunInServer) -> None:
    output = await run_in_server(
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>&1 | tr '\\0' '\\n'; ls -d /proc/[0-9]* | wc -l"
    )
    assert "misbehaving_server.py" in output
    for secret in (FAKE_API_KEY, API_KEY, "pytest", "claude-gateway", "--permission-prompt-tool"):
        assert secret not in output
    assert "No such process" in await run_in_server(f"kill -9 {os.getpid()}")


async def test_server_writes_only_to_its_home_directory_and_writable_paths(
    run_in_server: RunInServer, readable_dir: Path
) -> None:
    output = await run_in_server(
        f"cd {readable_dir} && for f in /x /etc/x /usr/x /home/x x notes.txt state/x drawer/x ~/x /tmp/x; do "
        "(echo x > $f) 2>/dev/null && echo wrote $f; done"
    )
    assert [line.split()[1] for line in output.splitlines() if line.startswith("wrote")] == [
        "drawer/x",
        "/home/server/x",
        "/tmp/x",
    ]
    assert (readable_dir / "notes.txt").read_text() == "for all programs"


async def test_each_server_has_its_own_lasting_home_directory(
    run_in_server: RunInServer, http: aiohttp.ClientSession, readable_dir: Path
) -> None:
    await run_in_server("echo mine > ~/diary; echo brief > /tmp/diary")
    assert "diary" not in await run_in_server("find / -name diary 2>/dev/null; pwd", "neighbour")

    for verb in ("disconnect", "connect"):
        await read_json_response(http.post(f"/v1/mcp/{verb}", json={"name": "prowler"}))

    assert await run_in_server("cat ~/diary /tmp/diary 2>/dev/null") == "mine\nEND\n"
    (diary,) = readable_dir.glob("state/mcp-servers/homes/*/diary")
    assert diary.stat().st_uid == (61_999 if os.geteuid() == 0 else os.geteuid())


async def test_processes_of_a_server_end_with_it_in_any_process_group(
    run_in_server: RunInServer, http: aiohttp.ClientSession
) -> None:
    mark = "76543.21"
    await run_in_server(
        f"exec >/dev/null 2>&1; setsid sleep {mark} & nohup setsid sh -c 'trap : TERM HUP; sleep {mark}' & :"
    )
    await wait_until(lambda: len(find_command_lines(f"sleep {mark}")) >= 3)

    await read_json_response(http.post("/v1/mcp/disconnect", json={"name": "prowler"}))

    await wait_until(lambda: not find_command_lines(f"sleep {mark}"))
    await read_json_response(http.post("/v1/mcp/connect", json={"name": "prowler"}))


async def test_server_stays_within_its_resource_limits(run_in_server: RunInServer) -> None:
    assert "MemoryError" in await run_in_server(ALLOCATE_1_GIB_COMMAND)
    assert "maximum limit" in await run_in_server(
        "python3 -c 'import resource as r; r.setrlimit(r.RLIMIT_DATA, (-1, -1))'"
    )
    assert "File size limit" in await run_in_server("truncate -s 2G ~/large") + await run_in_server(
        "python3 -c \"open('/home/server/l', 'w').truncate(2 << 30)\""
    )
    bomb = "for n in $(seq 1 450); do sleep 2 >/dev/null 2>&1 & done; echo made"
    assert "fork" in await run_in_server(bomb, "bomber")


async def test_server_cannot_escape_by_namespaces_mounts_or_devices(run_in_server: RunInServer) -> None:
    output = await run_in_server(
        "mount -t tmpfs x /usr; umount /usr; chroot / true; mknod /tmp/d b 8 0; ls /dev/sd* /dev/vd*"
    )
    assert output.count("ermission denied") + output.count("not permitted") + output.count("must be superuser") >= 3
    assert output.count("No such file or directory") >= 2


async def test_command_outside_the_readable_paths_fails_with_a_reason(
    shared_mcp_gateway: tuple[Gateway, Path], tmp_path: Path
) -> None:
    program = tmp_path / "unseen"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    async with (
        run_gateway_on(shared_mcp_gateway[0].upstream, tmp_path / "state", mcp_allowed_commands=str(program)) as other,
        open_http_session(other) as session,
    ):
        await read_json_response(session.post("/v1/mcp/servers", json={"name": "u", "command": str(program)}))
        response = await read_json_response(session.post("/v1/mcp/connect", json={"name": "u"}), 503)

    assert "the program does not exist in the sandbox" in response["error"]["message"]
    assert "MCP_READABLE_PATHS" in response["error"]["message"]
