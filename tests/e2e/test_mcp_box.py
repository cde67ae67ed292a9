"""What a program that is an MCP server might do to the gateway that started it, and to others: each tried by a real
one, in its real box."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.demo.upstream import STAND_IN_KEY, stand_in
from tests.e2e.conftest import API_KEY, Gateway, gateway_on
from tests.e2e.test_mcp import READABLE, SETTINGS, STRANGER, connect, session_with, told
from tests.e2e.test_tool_escapes import processes_with, until
from tests.e2e.workshop import call, result_of
from tests.installed import SANDBOX, need

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

GREEDY = "python3 -c 'bytearray(1 << 30)'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: Any) -> AsyncIterator[tuple[Gateway, Path]]:
    """Its state is in a directory that the operator shows to programs, with other things."""
    need(SANDBOX)
    shown = tmp_path_factory.mktemp("shown")
    shown.chmod(0o755)
    (shown / "notes.txt").write_text("for all programs")
    (shown / "drawer").mkdir(mode=0o777)
    (shown / "drawer").chmod(0o777)
    settings = SETTINGS | {
        "mcp_readable_paths": f"{READABLE}:{shown}",
        "mcp_writable_paths": str(shown / "drawer"),
        "mcp_memory_mib": 512,
        "mcp_call_seconds": 20,
    }
    async with (
        stand_in() as upstream,
        gateway_on(upstream, shown / "state", **settings) as running,
        session_with(running) as http,
    ):
        for name in ("prowler", "neighbour", "bomber"):
            await connect(http, name, [*STRANGER, "prowl"])
        yield running, shown


@pytest.fixture
def shown(shop: tuple[Gateway, Path]) -> Path:
    return shop[1]


Try = Callable[..., Awaitable[str]]


@pytest.fixture
def tried(shop: tuple[Gateway, Path]) -> Try:
    async def run(command: str, server: str = "prowler") -> str:
        shop[0].upstream.forget()
        said = await result_of(shop[0], call(f"mcp__{server}__look", command=command))
        assert "END" in said
        return str(json.loads(said)[0]["text"])

    return run


@pytest_asyncio.fixture(loop_scope="module")
async def http(shop: tuple[Gateway, Path]) -> AsyncIterator[aiohttp.ClientSession]:
    async with session_with(shop[0]) as session:
        yield session


@pytest.mark.promise("mcp.box")
async def test_a_program_sees_what_it_is_shown_and_nothing_of_the_gateway(tried: Try, shown: Path) -> None:
    assert (shown / "state" / "gateway.db").exists()
    assert "for all programs" in await tried(f"cat {shown}/notes.txt")

    seen = await tried(f"cat {shown}/state/gateway.db; find / -name 'gateway.db*' -o -name '.claude*' 2>/dev/null")

    assert "SQLite" not in seen
    assert [
        line for line in seen.splitlines() if "find" not in line and "gateway.db" in line and "cat:" not in line
    ] == []
    assert ".claude" not in seen
    assert "No such file" in await tried("ls /root/.claude /var/lib /home/worker /run /etc/shadow")


async def test_it_sees_no_process_but_its_own_and_can_signal_none(tried: Try) -> None:
    seen = await tried(
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>&1 | tr '\\0' '\\n'; ls -d /proc/[0-9]* | wc -l"
    )
    assert "stranger.py" in seen
    for secret in (STAND_IN_KEY, API_KEY, "pytest", "claude-gateway", "--permission-prompt-tool"):
        assert secret not in seen
    assert "No such process" in await tried(f"kill -9 {os.getpid()}")


async def test_it_writes_at_home_and_where_it_may(tried: Try, shown: Path) -> None:
    told = await tried(
        f"cd {shown} && for f in /x /etc/x /usr/x /home/x x notes.txt state/x drawer/x ~/x /tmp/x; do "
        "(echo x > $f) 2>/dev/null && echo wrote $f; done"
    )
    assert [line.split()[1] for line in told.splitlines() if line.startswith("wrote")] == [
        "drawer/x",
        "/home/server/x",
        "/tmp/x",
    ]
    assert (shown / "notes.txt").read_text() == "for all programs"


async def test_each_has_a_home_of_its_own_that_outlives_it(
    tried: Try, http: aiohttp.ClientSession, shown: Path
) -> None:
    await tried("echo mine > ~/diary; echo brief > /tmp/diary")
    assert "diary" not in await tried("find / -name diary 2>/dev/null; pwd", "neighbour")

    for verb in ("disconnect", "connect"):
        await told(http.post(f"/v1/mcp/{verb}", json={"name": "prowler"}))

    assert await tried("cat ~/diary /tmp/diary 2>/dev/null") == "mine\nEND\n"
    (kept,) = shown.glob("state/mcp-servers/homes/*/diary")
    assert kept.stat().st_uid == (61_999 if os.geteuid() == 0 else os.geteuid())


async def test_what_it_starts_ends_with_it_whatever_group_it_is_in(tried: Try, http: aiohttp.ClientSession) -> None:
    mark = "76543.21"
    await tried(f"exec >/dev/null 2>&1; setsid sleep {mark} & nohup setsid sh -c 'trap : TERM HUP; sleep {mark}' & :")
    await until(lambda: len(processes_with(f"sleep {mark}")) >= 3)

    await told(http.post("/v1/mcp/disconnect", json={"name": "prowler"}))

    await until(lambda: not processes_with(f"sleep {mark}"))
    await told(http.post("/v1/mcp/connect", json={"name": "prowler"}))


async def test_it_takes_no_more_than_it_may(tried: Try) -> None:
    assert "MemoryError" in await tried(GREEDY)
    assert "maximum limit" in await tried("python3 -c 'import resource as r; r.setrlimit(r.RLIMIT_DATA, (-1, -1))'")
    assert "File size limit" in await tried("truncate -s 2G ~/large") + await tried(
        "python3 -c \"open('/home/server/l', 'w').truncate(2 << 30)\""
    )
    bomb = "for n in $(seq 1 450); do sleep 2 >/dev/null 2>&1 & done; echo made"
    assert "fork" in await tried(bomb, "bomber")


async def test_no_namespace_mount_or_device_leads_out(tried: Try) -> None:
    told = await tried("mount -t tmpfs x /usr; umount /usr; chroot / true; mknod /tmp/d b 8 0; ls /dev/sd* /dev/vd*")
    assert told.count("ermission denied") + told.count("not permitted") + told.count("must be superuser") >= 3
    assert told.count("No such file or directory") >= 2


async def test_what_is_not_shown_cannot_be_started_and_the_caller_reads_why(
    shop: tuple[Gateway, Path], tmp_path: Path
) -> None:
    unseen = tmp_path / "unseen"
    unseen.write_text("#!/bin/sh\n")
    unseen.chmod(0o755)
    async with (
        gateway_on(shop[0].upstream, tmp_path / "state", mcp_allowed_commands=str(unseen)) as other,
        session_with(other) as theirs,
    ):
        await told(theirs.post("/v1/mcp/servers", json={"name": "u", "command": str(unseen)}))
        answer = await told(theirs.post("/v1/mcp/connect", json={"name": "u"}), 503)

    assert "no such program in its box" in answer["error"]["message"]
    assert "MCP_READABLE_PATHS" in answer["error"]["message"]
