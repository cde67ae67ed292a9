"""Attacks by means of the built-in tools, such as a hostile program or web page might start.

Each one runs in the real CLI and its real sandbox.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openai import APIStatusError

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, Gateway, run_gateway_on
from tests.e2e.helpers.processes import find_command_lines, wait_until
from tests.e2e.helpers.tool_directives import bash_directive, get_tool_result, tool_directive
from tests.e2e.helpers.workspaces import WORKSPACES_DIR_NAME, find_in_workspaces
from tests.installed import SANDBOX_PROGRAMS, require_programs
from workers.host.workspaces import Workspaces

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ALLOCATION_PROGRAM = """
import resource
try:
    bytearray(3 << 30)
except MemoryError:
    print("at once: refused")
for limit in (resource.RLIMIT_DATA, resource.RLIMIT_STACK):
    try:
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:
        print(error)
taken = []
try:
    while True:
        taken.append(b"x" * (8 << 20))
except MemoryError:
    del taken[-1]  # to have memory for the output
resident = next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"had {len(taken) * 8} MiB of which resident {resident}")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_tool_gateway(tmp_path_factory: Any) -> AsyncIterator[tuple[Gateway, Path]]:
    require_programs(SANDBOX_PROGRAMS)
    state = tmp_path_factory.mktemp("state")
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, state, max_session_disk_mib=8, max_agent_memory_mib=700) as running,
    ):
        yield running, state


@pytest.fixture
def gateway(shared_tool_gateway: tuple[Gateway, Path]) -> Gateway:
    shared_tool_gateway[0].upstream.clear()
    return shared_tool_gateway[0]


@pytest.fixture
def state(shared_tool_gateway: tuple[Gateway, Path]) -> Path:
    return shared_tool_gateway[1]


@pytest.mark.promise("tools.sandbox")
async def test_the_environment_of_a_command_holds_no_secret(gateway: Gateway) -> None:
    result = await get_tool_result(gateway, bash_directive("env; cat /proc/self/environ; set"))
    assert "HOME=/home/worker" in result
    assert FAKE_API_KEY not in result
    assert API_KEY not in result
    assert "ANTHROPIC_API_KEY" not in result


async def test_proc_shows_no_other_process(gateway: Gateway) -> None:
    result = await get_tool_result(
        gateway,
        bash_directive(
            "for p in /proc/[0-9]*; do cat $p/cmdline | tr '\\0' ' '; echo; cat $p/environ 2>&1 | tr '\\0' '\\n'; done;"
            " ls /proc/1/root/ 2>&1; head -c 9 /proc/1/mem 2>&1; ls /proc/1/fd 2>&1; echo END"
        ),
    )
    assert "END" in result
    assert FAKE_API_KEY not in result
    assert "--permission-prompt-tool" not in result  # an argument of the CLI process
    assert "claude-gateway" not in result
    assert "Permission denied" in result


async def test_command_sees_an_empty_home_directory_and_no_cli_configuration(gateway: Gateway) -> None:
    result = await get_tool_result(gateway, bash_directive("find /home /root -mindepth 1 2>&1; echo END"))
    assert "END" in result
    assert ".claude" not in result
    assert "projects" not in result


async def test_command_sees_only_the_programs_of_the_machine(gateway: Gateway, state: Path) -> None:
    result = await get_tool_result(
        gateway,
        bash_directive(
            f"ls -A / /home /root /var /srv /mnt /media 2>&1; ls {state} 2>&1; cat /etc/shadow /etc/passwd 2>&1"
        ),
    )
    for name in ("gateway.db", "root:", WORKSPACES_DIR_NAME):
        assert name not in result
    assert result.count("No such file or directory") >= 5


async def test_the_state_database_can_be_neither_read_nor_written(gateway: Gateway, state: Path) -> None:
    database = state / "gateway.db"
    assert database.exists()
    assert "No such file" in await get_tool_result(gateway, bash_directive(f"cat {database}; cp /etc/hosts {database}"))
    for directive in (
        tool_directive("Read", file_path=str(database)),
        tool_directive("Write", file_path=str(database), content="x"),
        tool_directive("Grep", pattern="CREATE", path=str(database)),
        tool_directive("Glob", pattern="*", path=str(state)),
    ):
        result = await get_tool_result(gateway, directive)
        assert "outside /desk" in result or "tool_use_error" in result
        assert "SQLite" not in result
    assert database.read_bytes().startswith(b"SQLite")


async def test_other_session_of_the_same_key_is_out_of_reach(gateway: Gateway, state: Path) -> None:
    await get_tool_result(
        gateway, tool_directive("Write", file_path="/desk/mine.txt", content="a-word-of-the-first"), "first"
    )
    (mine,) = find_in_workspaces(state, "mine.txt")
    result = await get_tool_result(
        gateway,
        bash_directive(f"grep -rs a-word-of-the-first /desk /tmp /home /opt /etc; cat {mine}; echo END"),
        "second",
    )
    assert "END" in result
    assert "\na-word-of-the-first" not in result
    assert "outside /desk" in await get_tool_result(gateway, tool_directive("Read", file_path=str(mine)), "second")


@pytest.mark.parametrize(
    "path", ["/desk/../etc/hosts", "../etc/hosts", "/desk/link", "/proc/self/environ", "dir/hosts"]
)
async def test_file_tools_read_only_the_workspace(gateway: Gateway, path: str) -> None:
    await get_tool_result(
        gateway, bash_directive("ln -sfn /etc/hosts link; ln -sfn /etc dir; ln -sfn /home/worker home"), "links"
    )
    result = await get_tool_result(gateway, tool_directive("Read", file_path=path), "links")
    assert "outside /desk" in result or "names a device or process file" in result
    assert "localhost" not in result


@pytest.mark.parametrize(
    "path", ["/etc/new", "/desk/../opt/new", "dir/new", "home/new", "/home/worker/.claude/settings.json"]
)
async def test_file_tools_write_only_the_workspace(gateway: Gateway, path: str) -> None:
    await get_tool_result(gateway, bash_directive("ln -sfn /etc dir; ln -sfn /home/worker home"), "links")
    result = await get_tool_result(gateway, tool_directive("Write", file_path=path, content="x"), "links")
    assert "outside /desk" in result


async def test_hard_links_to_files_of_the_machine_cannot_be_created(gateway: Gateway) -> None:
    result = await get_tool_result(gateway, bash_directive("ln /usr/bin/env here; ln /etc/hosts there; ls -la"))
    assert result.count("ln: failed to create hard link") == 2


async def test_command_writes_only_to_its_workspace(gateway: Gateway) -> None:
    result = await get_tool_result(
        gateway,
        bash_directive(
            "for f in /x /etc/x /usr/x /usr/bin/env /opt/claude /home/x /home/worker/x /tmp/x /dev/x /desk/x; do"
            " touch $f 2>/dev/null && echo wrote $f; done; echo END"
        ),
    )
    assert "END" in result
    assert [line for line in result.splitlines() if line.startswith("wrote") and "/desk/" not in line] in (
        [],
        ["wrote /home/worker/x", "wrote /dev/x"],  # in the command's own sandbox, which ends with the command
    )
    assert "total 0" in await get_tool_result(gateway, bash_directive("ls -l /home/worker"))


async def test_no_address_is_reachable_directly_or_through_the_sandbox_proxy(gateway: Gateway) -> None:
    port, upstream_port = gateway.url.rsplit(":", 1)[1], gateway.upstream.url.rsplit(":", 1)[1]
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"127.0.0.1:{upstream_port}"]
    hosts += ["169.254.169.254", "10.0.0.1", "192.168.0.1", "172.17.0.1", "example.com"]
    commands = "; ".join(
        f"curl -sS -m 3 --noproxy '*' http://{host}/health; curl -sS -m 3 --noproxy '' -x $HTTP_PROXY http://{host}/health"
        for host in hosts
    )
    result = await get_tool_result(
        gateway, bash_directive(f"{commands}; cat /proc/net/route; echo END", timeout=60_000)
    )
    assert "END" in result
    assert "healthy" not in result
    assert "the fake Anthropic API has no" not in result
    assert result.count("Connection blocked by network allowlist") == len(hosts)


async def test_sockets_of_other_families_cannot_be_used(gateway: Gateway) -> None:
    port = gateway.url.rsplit(":", 1)[1]
    script = (
        "import socket\n"
        f"for family, address in ((socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_INET, ('8.8.8.8', 53)),"
        f" (socket.AF_INET6, ('::1', {port}))):\n"
        "    try:\n"
        "        socket.socket(family).connect(address); print('REACHED', address)\n"
        "    except OSError as error:\n"
        "        print('no', error)\n"
        "try:\n"
        "    socket.socket(socket.AF_UNIX); print('REACHED unix')\n"
        "except OSError as error:\n"
        "    print('no', error)\n"
    )
    result = await get_tool_result(gateway, bash_directive(f"python3 - <<X\n{script}X"))
    assert "REACHED" not in result
    assert result.count("no ") >= 4


async def test_no_process_outside_can_be_signalled(gateway: Gateway) -> None:
    result = await get_tool_result(gateway, bash_directive(f"kill -9 {os.getpid()}; echo END"), "signals")
    assert "END" in result
    await get_tool_result(gateway, bash_directive("kill -9 -1"), "signals")
    assert "alive" in await get_tool_result(gateway, bash_directive("echo alive"), "signals")


async def test_command_cannot_create_namespaces_or_mounts(gateway: Gateway) -> None:
    result = await get_tool_result(
        gateway,
        bash_directive(
            "unshare -Urm true; mount -t tmpfs x /mnt; umount /desk; umount /home/worker; chroot / true; echo END"
        ),
    )
    assert "END" in result
    assert (
        len([line for line in result.splitlines() if line.startswith(("unshare:", "mount:", "umount:", "chroot:"))])
        >= 5
    )


async def test_model_cannot_disable_the_sandbox(gateway: Gateway) -> None:
    result = await get_tool_result(
        gateway, bash_directive("touch /etc/x; cat /home/worker/.claude.json", dangerouslyDisableSandbox=True)
    )
    assert "in the sandbox only" in result or "Read-only file system" in result
    assert "userID" not in result


async def test_fork_bomb_ends_with_its_command(gateway: Gateway) -> None:
    bomb = "b() { b | b & }; b; sleep 3; echo END"
    result = await get_tool_result(gateway, bash_directive(bomb, timeout=8_000), "bomb")
    assert "Resource temporarily unavailable" in result or "fork" in result or "timed out" in result
    assert "again" in await get_tool_result(gateway, bash_directive("echo again"), "calm")


async def test_one_file_cannot_fill_the_disk(gateway: Gateway, state: Path) -> None:
    result = await get_tool_result(gateway, bash_directive("head -c 40000000 /dev/zero > big; ls -l big; rm big"))
    assert "File size limit exceeded" in result or " 8388608 " in result


async def test_many_files_cannot_fill_the_disk_and_can_be_deleted(gateway: Gateway) -> None:
    command = "for n in $(seq 1 60); do head -c 1000000 /dev/zero > f$n; sleep 0.05; done; sleep 20"
    with pytest.raises(APIStatusError) as caught:
        await get_tool_result(gateway, bash_directive(command, timeout=60_000), "full")
    assert (caught.value.status_code, caught.value.code) == (413, "session_disk_limit_exceeded")


@pytest.mark.promise("tools.memory")
async def test_process_cannot_allocate_beyond_the_memory_of_its_job(gateway: Gateway) -> None:
    result = await get_tool_result(gateway, bash_directive(f"python3 - <<X & wait\n{ALLOCATION_PROGRAM}X"))
    assert "at once: refused" in result
    taken, resident = map(int, re.findall(r"had (\d+) MiB of which resident (\d+)", result)[0])
    assert 300 < taken <= resident < 450
    assert result.count("not allowed to raise") == 2


async def test_memory_limit_ignores_reserved_but_unused_memory(gateway: Gateway) -> None:
    commands = (
        "git init -q g && git -C g status | head -1",
        "python3 -c 'from threading import *; t = [Thread(target=print) for _ in range(40)]; [x.start() for x in t]'",
        "! command -v node || node -e 'new WebAssembly.Memory({initial: 1}); console.log(1)'",
        "! command -v gcc || (echo 'int main(void) { return 0; }' > c.c && gcc c.c && ./a.out)",
    )
    for command in commands:
        result = await get_tool_result(gateway, bash_directive(command, timeout=20_000), "usual")
        assert "Exit code" not in result, result


async def test_endless_memory_use_ends_only_its_own_job(gateway: Gateway) -> None:
    hog = "python3 -c \"import os, time; os.fork(); os.fork(); x = b'x' * (400 << 20); time.sleep(20)\""
    with pytest.raises(APIStatusError) as caught:
        await get_tool_result(gateway, bash_directive(hog, timeout=60_000))
    assert (caught.value.status_code, caught.value.code) == (413, "memory_limit_exceeded")
    assert "fine" in await get_tool_result(gateway, bash_directive("echo fine"))


async def test_deleted_and_anonymous_files_cannot_fill_the_memory(gateway: Gateway) -> None:
    fill = "for n in $(seq 1 200); do head -c 8000000 /dev/zero > /dev/f$n; done; sleep 20"
    with pytest.raises(APIStatusError) as caught:
        await get_tool_result(gateway, bash_directive(fill, timeout=60_000))
    assert (caught.value.status_code, caught.value.code) == (413, "memory_limit_exceeded")


async def test_endlessly_nested_directories_are_counted_and_removed(gateway: Gateway, state: Path) -> None:
    nest = "for n in $(seq 1 1500); do mkdir d && cd d; done; head -c 9 /dev/zero > deep; sleep 20"
    with pytest.raises(APIStatusError) as caught:
        await get_tool_result(gateway, bash_directive(nest, timeout=60_000), "nested")
    assert caught.value.code == "session_disk_limit_exceeded"
    (nested,) = [path.parent for path in find_in_workspaces(state, "d")]
    await Workspaces(state, None).remove(nested)
    assert not nested.exists()


async def test_endless_output_reaches_the_model_truncated(gateway: Gateway) -> None:
    result = await get_tool_result(gateway, bash_directive("yes | head -c 60000000"))
    assert "y\ny\n" in result
    assert len(result) < 100_000


@pytest.mark.promise("tools.cleanup")
async def test_processes_of_a_command_end_with_it(gateway: Gateway) -> None:
    mark = "98765.4321"
    result = await get_tool_result(
        gateway,
        bash_directive(
            f"(setsid sleep {mark} &) ; nohup sleep {mark} >/dev/null 2>&1 &"
            f" (trap '' TERM HUP; sleep {mark}) & echo END"
        ),
        "left",
    )
    assert "END" in result
    assert find_command_lines(f"sleep {mark}") == []
    await gateway.ask(
        bash_directive(f"sleep {mark}", run_in_background=True, timeout=1_000), extra_body={"enable_tools": True}
    )
    assert find_command_lines(f"sleep {mark}") == []


async def test_commands_of_an_abandoned_job_end(gateway: Gateway, state: Path) -> None:
    mark = "87654.321"
    command = bash_directive(f"touch begun; sleep {mark}", timeout=60_000)
    request_task = asyncio.create_task(gateway.ask(command, extra_body={"enable_tools": True}))
    await wait_until(lambda: bool(find_in_workspaces(state, "begun")))
    request_task.cancel()
    await wait_until(lambda: find_command_lines(f"sleep {mark}") == [])
    await wait_until(lambda: not find_in_workspaces(state, "begun"))


@pytest.mark.parametrize("text", ["@/etc/hosts", "read @../../etc/hosts please", "/add-dir /etc", "!cat /etc/hosts"])
async def test_prompt_cannot_read_files_or_run_commands_by_name(gateway: Gateway, text: str) -> None:
    await gateway.ask(text, extra_body={"enable_tools": True})
    received = str(gateway.upstream.chat_requests[-1].body["messages"])
    assert text in received
    assert "localhost" not in received
    assert len(gateway.upstream.chat_requests) == 1
