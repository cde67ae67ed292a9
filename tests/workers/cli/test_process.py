import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import workers
from tests.workers.helpers import with_timeout
from workers.cli import process as process_module
from workers.cli.process import Process

_TWENTY_MB = 20 * 1024 * 1024
_SOURCE = Path(workers.__file__).parents[1]

PRINTS_ITS_ENVIRONMENT = """
import json
pairs = open("/proc/self/environ").read().split("\\0")[:-1]
print(json.dumps(dict(pair.split("=", 1) for pair in pairs)))
"""
STARTS_A_CHILD = """
import json, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print(json.dumps({"child": child.pid}), flush=True)
sys.stdin.read()
"""
HAS_A_KEY_AND_STARTS_A_PROCESS = """
import asyncio, ctypes, json
from pathlib import Path
from workers.cli.process import _SYS_KEYCTL, Process

keyctl = ctypes.CDLL(None).syscall
search = f"ctypes.CDLL(None).syscall({_SYS_KEYCTL}, 10, -3, b'user', b'mark', 0)"
look = f"import ctypes, json; print(json.dumps(dict(key={search})))"

async def main():
    keyctl(_SYS_KEYCTL, 1, b"of-the-gateway")
    assert keyctl(_SYS_KEYCTL - 2, b"user", b"mark", b"secret", 6, -3) > 0
    exec(look)
    child = await Process.spawn(("/usr/bin/env", "python3", "-c", look), {"PATH": "/usr/bin:/bin"}, Path("/"))
    print(json.dumps((await child.read())[0]), flush=True)
    await child.wait_exited()

asyncio.run(main())
"""
WRITES_TO_A_KILLED_PROCESS = """
import asyncio, contextlib, gc, os, select
from pathlib import Path
from workers.cli import process as process_module
from workers.cli.process import Process

class AsPython3112(process_module.ProcessProtocol):
    # Later versions mark the error of a closed stdin as retrieved.
    def pipe_connection_lost(self, fd, exc):
        super().pipe_connection_lost(fd, exc)
        if fd == 0 and exc is not None:
            self._stdin_closed = asyncio.get_running_loop().create_future()
            self._stdin_closed.set_exception(exc)

process_module.ProcessProtocol = AsPython3112

async def main():
    process = await Process.spawn(("/bin/cat",), {}, Path("/"))
    end = os.pidfd_open(process.pid)
    process.kill()
    select.select([end], [], [])
    with contextlib.suppress(ConnectionError):
        await process.write({})
    await process.wait_exited()

asyncio.run(main())
gc.collect()
"""
STARTS_A_PROCESS_AND_WAITS = """
import asyncio, sys
from pathlib import Path
from workers.cli import process as process_module
from workers.cli.process import Process

async def main():
    process = await Process.spawn(("/bin/sleep", "600"), {}, Path("/"))
    print(process.pid, flush=True)
    await process.wait_exited()

asyncio.run(main())
"""


@asynccontextmanager
async def running(
    *argv: str, env: Mapping[str, str] | None = None, directory: Path = Path("/")
) -> AsyncIterator[Process]:
    process = await Process.spawn(argv, env if env is not None else {"PATH": os.environ["PATH"]}, directory)
    try:
        yield process
    finally:
        process.kill()
        await with_timeout(process.wait_exited())


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", script)


class ExitWatcher:
    """Waits for the exit of a process that is not a child of the test."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)
        self._exited = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._handle, self._notify)

    def _notify(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        self._exited.set_result(None)

    async def wait_exited(self) -> None:
        await with_timeout(self._exited)


async def test_writes_and_reads_a_line_of_20_megabytes() -> None:
    frame = {"text": "x" * _TWENTY_MB}
    async with running("cat") as process:
        _, frames = await with_timeout(asyncio.gather(process.write(frame), process.read()))
        assert frames == [frame]


async def test_keeps_the_order_of_frames() -> None:
    async with running("cat") as process:
        await process.write({"n": 1}, {"n": 2})
        await process.write({"n": 3})
        frames: list[object] = []
        while len(frames) < 3:
            frames += await with_timeout(process.read())
        assert frames == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_starts_a_child_with_exactly_the_given_environment_and_directory(tmp_path: Path) -> None:
    async with running(*python(PRINTS_ITS_ENVIRONMENT), env={"ONLY": "this"}) as process:
        assert await with_timeout(process.read()) == [{"ONLY": "this"}]
    print_cwd = 'import json, os; print(json.dumps({"cwd": os.getcwd()}))'
    async with running(*python(print_cwd), directory=tmp_path) as process:
        assert await with_timeout(process.read()) == [{"cwd": str(tmp_path)}]


async def test_reads_nothing_at_the_end_of_the_stream_also_repeatedly() -> None:
    async with running(*python('print("{}")')) as process:
        assert await with_timeout(process.read()) == [{}]
        assert await with_timeout(process.read()) == []
        assert await with_timeout(process.read()) == []
        assert await with_timeout(process.wait_exited()) == 0


async def test_returns_the_exit_status_of_a_child() -> None:
    async with running(*python("raise SystemExit(3)")) as process:
        assert await with_timeout(process.wait_exited()) == 3


async def test_kills_the_descendants_of_a_child_with_it() -> None:
    async with running(*python(STARTS_A_CHILD)) as process:
        [frame] = await with_timeout(process.read())
        grandchild = ExitWatcher(frame["child"])
        process.kill()
        assert await with_timeout(process.wait_exited()) == -signal.SIGKILL
        await grandchild.wait_exited()


async def test_starts_a_child_in_a_new_process_group() -> None:
    async with running("cat") as process:
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)


async def test_allows_a_kill_of_a_child_that_has_exited() -> None:
    async with running(*python("")) as process:
        await with_timeout(process.wait_exited())
        process.kill()


async def test_has_the_last_stderr_output_at_the_end_of_the_stream() -> None:
    async with running(*python('import sys; sys.stderr.write("out of memory\\n")')) as process:
        assert await with_timeout(process.read()) == []
        assert process.stderr_tail() == "out of memory"


async def test_waits_for_stderr_output_after_the_end_of_the_stream() -> None:
    async with running(*python('import os; os.close(1); import json; os.write(2, b"late")')) as process:
        assert await with_timeout(process.read()) == []
        assert process.stderr_tail() == "late"


async def test_keeps_only_the_end_of_a_long_stderr() -> None:
    script = 'import sys; sys.stderr.write("x" * 500_000 + "the end")'
    async with running(*python(script)) as process:
        assert await with_timeout(process.read()) == []
        stderr_tail = process.stderr_tail()
        assert stderr_tail.endswith("xxxthe end")
        assert len(stderr_tail) == 16 * 1024


async def test_replaces_invalid_utf_8_in_stderr() -> None:
    async with running(*python('import os; os.write(2, b"bad \\xff byte")')) as process:
        await with_timeout(process.read())
        assert process.stderr_tail() == "bad \ufffd byte"


async def test_does_not_block_a_child_that_writes_much_to_stderr() -> None:
    script = 'import sys; sys.stderr.write("x" * 1_000_000); print("{}")'
    async with running(*python(script)) as process:
        assert await with_timeout(process.read()) == [{}]


async def test_raises_connection_error_for_a_write_to_a_child_that_has_exited() -> None:
    async with running(*python("")) as process:
        await with_timeout(process.wait_exited())
        with pytest.raises(ConnectionError):
            await with_timeout(process.write({"n": 1}))


async def test_prints_no_unretrieved_error_after_a_write_to_a_killed_process() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITES_TO_A_KILLED_PROCESS),
        env={"PYTHONPATH": str(_SOURCE), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    printed, _ = await with_timeout(child.communicate())

    assert (child.returncode, printed.decode()) == (0, "")


async def test_raises_file_not_found_for_a_missing_program() -> None:
    with pytest.raises(FileNotFoundError):
        await Process.spawn(("/nowhere/claude",), {}, Path("/"))


async def test_kills_a_child_if_its_parent_is_killed() -> None:
    gateway = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STARTS_A_PROCESS_AND_WAITS,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_SOURCE)},
    )
    assert gateway.stdout is not None
    child = ExitWatcher(json.loads(await with_timeout(gateway.stdout.readline())))
    gateway.kill()
    await with_timeout(gateway.wait())
    await child.wait_exited()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the system call numbers are those of x86-64")
async def test_hides_the_keyring_of_the_gateway_from_a_process() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HAS_A_KEY_AND_STARTS_A_PROCESS),
        env={"PYTHONPATH": str(_SOURCE), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await child.communicate()
    parent_key, child_key = (json.loads(line)["key"] for line in output.splitlines())
    assert int(parent_key) > 0
    assert int(child_key) == -1


async def test_returns_only_stderr_output_after_an_offset() -> None:
    lines = ("2026-11-30T10:00:00Z [ERROR] API error (attempt 1/2): 400", "Segmentation fault")
    print_lines = "".join(f"print({line!r}, file=sys.stderr)\n" for line in lines)
    async with running(*python(f"import sys\nsys.stdin.readline()\n{print_lines}")) as process:
        await process.write({})
        assert await with_timeout(process.read()) == []
        assert process.stderr_tail() == "\n".join(lines)
        assert process.stderr_tail(process.stderr_byte_count) == ""


async def test_a_large_frame_lets_other_tasks_run_while_it_is_encoded(tmp_path: Path) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    await process_module._encode_lines([{"text": "x" * _TWENTY_MB}])
    counting.cancel()

    assert turns > 20


async def test_a_write_that_is_cancelled_while_it_is_encoded_reaches_the_process_whole(tmp_path: Path) -> None:
    echoes_sizes = "import json, sys\nfor line in sys.stdin: print(json.dumps({'size': len(line)}), flush=True)"
    process = await Process.spawn((sys.executable, "-c", echoes_sizes), {}, tmp_path)
    frame = {"text": "x" * 2_000_000}
    writing = asyncio.create_task(process.write(frame))
    await asyncio.sleep(0)  # the first step of the encoding
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    await process.write({"next": 1})
    sizes: list[int] = []
    while len(sizes) < 2:
        sizes += [told["size"] for told in await with_timeout(process.read())]
    assert sizes == [len(json.dumps(frame, separators=(",", ":"))) + 1, len('{"next":1}') + 1]
    process.kill()
    await process.wait_exited()
