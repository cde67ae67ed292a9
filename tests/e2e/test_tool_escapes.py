"""What a stranger's program, or a page that Claude reads, might try with Claude's own tools: each tried for real, in
the real CLI and its real sandbox, with what came back."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openai import APIStatusError

from claude_gateway.demo.upstream import STAND_IN_KEY, stand_in
from tests.e2e.conftest import API_KEY, Gateway, gateway_on
from tests.e2e.workshop import bash, call, result_of
from tests.installed import SANDBOX, need
from workers.places import Places

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

GREEDY = """
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
    del taken[-1]  # to have room for words
resident = next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"had {len(taken) * 8} MiB of which resident {resident}")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: Any) -> AsyncIterator[tuple[Gateway, Path]]:
    need(SANDBOX)
    state = tmp_path_factory.mktemp("state")
    async with (
        stand_in() as upstream,
        gateway_on(upstream, state, session_disk_mb=8, agent_memory_mib=700) as running,
    ):
        yield running, state


@pytest.fixture
def gateway(shop: tuple[Gateway, Path]) -> Gateway:
    shop[0].upstream.forget()
    return shop[0]


@pytest.fixture
def state(shop: tuple[Gateway, Path]) -> Path:
    return shop[1]


def processes_with(word: str) -> list[str]:
    """The command lines on this machine that hold the word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if word in line:
                found.append(line)
    return found


async def until(happened: Callable[[], bool]) -> None:
    """Nobody tells of what becomes of another's processes and files, so they are looked at until it happened."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(happened):
            await asyncio.to_thread(time.sleep, 0.02)


@pytest.mark.promise("tools.box")
async def test_the_environment_of_a_command_holds_no_secret(gateway: Gateway) -> None:
    told = await result_of(gateway, bash("env; cat /proc/self/environ; set"))
    assert "HOME=/home/worker" in told
    assert STAND_IN_KEY not in told
    assert API_KEY not in told
    assert "ANTHROPIC_API_KEY" not in told


async def test_other_processes_cannot_be_seen_or_read_by_proc(gateway: Gateway) -> None:
    told = await result_of(
        gateway,
        bash(
            "for p in /proc/[0-9]*; do cat $p/cmdline | tr '\\0' ' '; echo; cat $p/environ 2>&1 | tr '\\0' '\\n'; done;"
            " ls /proc/1/root/ 2>&1; head -c 9 /proc/1/mem 2>&1; ls /proc/1/fd 2>&1; echo END"
        ),
    )
    assert "END" in told
    assert STAND_IN_KEY not in told
    assert "--permission-prompt-tool" not in told  # the CLI's own process
    assert "claude-gateway" not in told
    assert "Permission denied" in told


async def test_the_home_and_the_configuration_of_the_cli_are_empty_to_a_command(gateway: Gateway) -> None:
    told = await result_of(gateway, bash("find /home /root -mindepth 1 2>&1; echo END"))
    assert "END" in told
    assert ".claude" not in told
    assert "projects" not in told


async def test_nothing_of_the_machine_but_its_programs_is_there(gateway: Gateway, state: Path) -> None:
    told = await result_of(
        gateway,
        bash(f"ls -A / /home /root /var /srv /mnt /media 2>&1; ls {state} 2>&1; cat /etc/shadow /etc/passwd 2>&1"),
    )
    for name in ("gateway.db", "root:", "claude-gateway-places"):
        assert name not in told
    assert told.count("No such file or directory") >= 5


async def test_the_state_database_can_be_neither_read_nor_written(gateway: Gateway, state: Path) -> None:
    database = state / "gateway.db"
    assert database.exists()
    assert "No such file" in await result_of(gateway, bash(f"cat {database}; cp /etc/hosts {database}"))
    for words in (
        call("Read", file_path=str(database)),
        call("Write", file_path=str(database), content="x"),
        call("Grep", pattern="CREATE", path=str(database)),
        call("Glob", pattern="*", path=str(state)),
    ):
        told = await result_of(gateway, words)
        assert "outside /desk" in told or "tool_use_error" in told
        assert "SQLite" not in told
    assert database.read_bytes().startswith(b"SQLite")


async def test_another_session_of_the_same_key_is_out_of_reach(gateway: Gateway, state: Path) -> None:
    await result_of(gateway, call("Write", file_path="/desk/mine.txt", content="a-word-of-the-first"), "first")
    (mine,) = state.glob("*places/*/mine.txt")
    told = await result_of(
        gateway, bash(f"grep -rs a-word-of-the-first /desk /tmp /home /opt /etc; cat {mine}; echo END"), "second"
    )
    assert "END" in told
    assert "\na-word-of-the-first" not in told
    assert "outside /desk" in await result_of(gateway, call("Read", file_path=str(mine)), "second")


@pytest.mark.parametrize(
    "path", ["/desk/../etc/hosts", "../etc/hosts", "/desk/link", "/proc/self/environ", "dir/hosts"]
)
async def test_file_tools_do_not_leave_the_directory(gateway: Gateway, path: str) -> None:
    await result_of(gateway, bash("ln -sfn /etc/hosts link; ln -sfn /etc dir; ln -sfn /home/worker home"), "links")
    told = await result_of(gateway, call("Read", file_path=path), "links")
    assert "outside /desk" in told or "names a device or process file" in told
    assert "localhost" not in told


@pytest.mark.parametrize(
    "path", ["/etc/new", "/desk/../opt/new", "dir/new", "home/new", "/home/worker/.claude/settings.json"]
)
async def test_nor_do_they_make_files_elsewhere(gateway: Gateway, path: str) -> None:
    await result_of(gateway, bash("ln -sfn /etc dir; ln -sfn /home/worker home"), "links")
    told = await result_of(gateway, call("Write", file_path=path, content="x"), "links")
    assert "outside /desk" in told


async def test_a_file_of_the_machine_cannot_be_given_a_second_name(gateway: Gateway) -> None:
    told = await result_of(gateway, bash("ln /usr/bin/env here; ln /etc/hosts there; ls -la"))
    assert told.count("ln: failed to create hard link") == 2


async def test_a_command_writes_nowhere_but_into_its_directory(gateway: Gateway) -> None:
    told = await result_of(
        gateway,
        bash(
            "for f in /x /etc/x /usr/x /usr/bin/env /opt/claude /home/x /home/worker/x /tmp/x /dev/x /desk/x; do"
            " touch $f 2>/dev/null && echo wrote $f; done; echo END"
        ),
    )
    assert "END" in told
    assert [line for line in told.splitlines() if line.startswith("wrote") and "/desk/" not in line] in (
        [],
        ["wrote /home/worker/x", "wrote /dev/x"],  # of the command's own sandbox, gone with it
    )
    assert "total 0" in await result_of(gateway, bash("ls -l /home/worker"))


async def test_no_address_is_reached_directly_or_through_the_sandboxs_proxy(gateway: Gateway) -> None:
    port, upstream_port = gateway.url.rsplit(":", 1)[1], gateway.upstream.url.rsplit(":", 1)[1]
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"127.0.0.1:{upstream_port}"]
    hosts += ["169.254.169.254", "10.0.0.1", "192.168.0.1", "172.17.0.1", "example.com"]
    tries = "; ".join(
        f"curl -sS -m 3 --noproxy '*' http://{host}/health; curl -sS -m 3 --noproxy '' -x $HTTP_PROXY http://{host}/health"
        for host in hosts
    )
    told = await result_of(gateway, bash(f"{tries}; cat /proc/net/route; echo END", timeout=60_000))
    assert "END" in told
    assert "healthy" not in told
    assert "the stand-in has no" not in told
    assert told.count("Connection blocked by network allowlist") == len(hosts)


async def test_other_sockets_lead_nowhere(gateway: Gateway) -> None:
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
    told = await result_of(gateway, bash(f"python3 - <<X\n{script}X"))
    assert "REACHED" not in told
    assert told.count("no ") >= 4


async def test_no_process_outside_can_be_signalled(gateway: Gateway) -> None:
    told = await result_of(gateway, bash(f"kill -9 {os.getpid()}; echo END"), "signals")
    assert "END" in told
    await result_of(gateway, bash("kill -9 -1"), "signals")
    assert "alive" in await result_of(gateway, bash("echo alive"), "signals")


async def test_no_namespace_of_ones_own_and_no_mount(gateway: Gateway) -> None:
    told = await result_of(
        gateway,
        bash("unshare -Urm true; mount -t tmpfs x /mnt; umount /desk; umount /home/worker; chroot / true; echo END"),
    )
    assert "END" in told
    assert (
        len([line for line in told.splitlines() if line.startswith(("unshare:", "mount:", "umount:", "chroot:"))]) >= 5
    )


async def test_the_sandbox_cannot_be_asked_away(gateway: Gateway) -> None:
    told = await result_of(gateway, bash("touch /etc/x; cat /home/worker/.claude.json", dangerouslyDisableSandbox=True))
    assert "in the sandbox only" in told or "Read-only file system" in told
    assert "userID" not in told


async def test_a_fork_bomb_ends_with_its_command(gateway: Gateway) -> None:
    bomb = "b() { b | b & }; b; sleep 3; echo END"
    told = await result_of(gateway, bash(bomb, timeout=8_000), "bomb")
    assert "Resource temporarily unavailable" in told or "fork" in told or "timed out" in told
    assert "again" in await result_of(gateway, bash("echo again"), "calm")


async def test_the_disk_is_not_filled_by_one_file(gateway: Gateway, state: Path) -> None:
    told = await result_of(gateway, bash("head -c 40000000 /dev/zero > big; ls -l big; rm big"))
    assert "File size limit exceeded" in told or " 8388608 " in told


async def test_nor_by_many_and_what_is_there_can_be_deleted(gateway: Gateway) -> None:
    many = "for n in $(seq 1 60); do head -c 1000000 /dev/zero > f$n; sleep 0.05; done; sleep 20"
    with pytest.raises(APIStatusError) as caught:
        await result_of(gateway, bash(many, timeout=60_000), "full")
    assert (caught.value.status_code, caught.value.code) == (413, "session_disk_full")


@pytest.mark.promise("tools.memory")
async def test_what_a_process_asks_for_beyond_its_job_s_memory_it_does_not_get(gateway: Gateway) -> None:
    told = await result_of(gateway, bash(f"python3 - <<X & wait\n{GREEDY}X"))
    assert "at once: refused" in told
    taken, resident = map(int, re.findall(r"had (\d+) MiB of which resident (\d+)", told)[0])
    assert 300 < taken <= resident < 450
    assert told.count("not allowed to raise") == 2


async def test_the_limit_is_no_hindrance_to_what_reserves_much_and_takes_little(gateway: Gateway) -> None:
    tries = (
        "git init -q g && git -C g status | head -1",
        "python3 -c 'from threading import *; t = [Thread(target=print) for _ in range(40)]; [x.start() for x in t]'",
        "! command -v node || node -e 'new WebAssembly.Memory({initial: 1}); console.log(1)'",
        "! command -v gcc || (echo 'int main(void) { return 0; }' > c.c && gcc c.c && ./a.out)",
    )
    for one in tries:
        told = await result_of(gateway, bash(one, timeout=20_000), "usual")
        assert "Exit code" not in told, told


async def test_memory_without_end_ends_the_job_alone(gateway: Gateway) -> None:
    hog = "python3 -c \"import os, time; os.fork(); os.fork(); x = b'x' * (400 << 20); time.sleep(20)\""
    with pytest.raises(APIStatusError) as caught:
        await result_of(gateway, bash(hog, timeout=60_000))
    assert (caught.value.status_code, caught.value.code) == (413, "session_memory_full")
    assert "fine" in await result_of(gateway, bash("echo fine"))


async def test_nor_is_memory_filled_by_files_that_are_in_no_directory(gateway: Gateway) -> None:
    fill = "for n in $(seq 1 200); do head -c 8000000 /dev/zero > /dev/f$n; done; sleep 20"
    with pytest.raises(APIStatusError) as caught:
        await result_of(gateway, bash(fill, timeout=60_000))
    assert (caught.value.status_code, caught.value.code) == (413, "session_memory_full")


async def test_what_is_nested_without_end_hides_nothing_and_is_removed(gateway: Gateway, state: Path) -> None:
    nest = "for n in $(seq 1 1500); do mkdir d && cd d; done; head -c 9 /dev/zero > deep; sleep 20"
    with pytest.raises(APIStatusError) as caught:
        await result_of(gateway, bash(nest, timeout=60_000), "nested")
    assert caught.value.code == "session_disk_full"
    (nested,) = [place for place in state.glob("*places/p-*") if (place / "d").exists()]
    await Places(state, None).remove(nested)
    assert not nested.exists()


async def test_an_output_without_end_reaches_the_model_as_its_beginning(gateway: Gateway) -> None:
    told = await result_of(gateway, bash("yes | head -c 60000000"))
    assert "y\ny\n" in told
    assert len(told) < 100_000


@pytest.mark.promise("tools.nothing-left")
async def test_nothing_that_a_command_started_outlives_it(gateway: Gateway) -> None:
    mark = "98765.4321"
    told = await result_of(
        gateway,
        bash(
            f"(setsid sleep {mark} &) ; nohup sleep {mark} >/dev/null 2>&1 &"
            f" (trap '' TERM HUP; sleep {mark}) & echo END"
        ),
        "left",
    )
    assert "END" in told
    assert processes_with(f"sleep {mark}") == []
    await gateway.ask(bash(f"sleep {mark}", run_in_background=True, timeout=1_000), extra_body={"enable_tools": True})
    assert processes_with(f"sleep {mark}") == []


async def test_a_job_that_is_left_takes_its_commands_along(gateway: Gateway, state: Path) -> None:
    mark = "87654.321"
    command = bash(f"touch begun; sleep {mark}", timeout=60_000)
    asked = asyncio.create_task(gateway.ask(command, extra_body={"enable_tools": True}))
    await until(lambda: any(state.glob("*places/*/begun")))
    asked.cancel()
    await until(lambda: processes_with(f"sleep {mark}") == [])
    await until(lambda: not any(state.glob("*places/*/begun")))


@pytest.mark.parametrize("words", ["@/etc/hosts", "read @../../etc/hosts please", "/add-dir /etc", "!cat /etc/hosts"])
async def test_a_prompt_names_files_and_commands_in_vain(gateway: Gateway, words: str) -> None:
    await gateway.ask(words, extra_body={"enable_tools": True})
    sent = str(gateway.upstream.chats[-1].body["messages"])
    assert words in sent
    assert "localhost" not in sent
    assert len(gateway.upstream.chats) == 1
