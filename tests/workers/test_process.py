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
from tests.workers.helpers import soon
from workers.process import Process

_TWENTY_MB = 20 * 1024 * 1024
_SOURCE = Path(workers.__file__).parents[1]

TELLS_ITS_ENVIRONMENT = """
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
import asyncio, ctypes
from pathlib import Path
from workers.process import _SYS_KEYCTL, Process

keyctl = ctypes.CDLL(None).syscall
look = f"import ctypes; print(ctypes.CDLL(None).syscall({_SYS_KEYCTL}, 10, -3, b'user', b'mark', 0))"

async def main():
    keyctl(_SYS_KEYCTL, 1, b"of-the-gateway")
    assert keyctl(_SYS_KEYCTL - 2, b"user", b"mark", b"secret", 6, -3) > 0
    exec(look)
    child = await Process.spawn(("/usr/bin/env", "python3", "-c", look), {"PATH": "/usr/bin:/bin"}, Path("/"))
    print((await child._child.stdout.read()).decode(), flush=True)
    await child.ended()

asyncio.run(main())
"""
WRITES_TO_A_DEAD_PROCESS = """
import asyncio, contextlib, gc, os, select
from asyncio.subprocess import SubprocessStreamProtocol
from pathlib import Path
from workers.process import Process

class AsPython3112(SubprocessStreamProtocol):
    # Later versions mark the error of a closed stdin as one that need not be taken.
    def pipe_connection_lost(self, fd, exc):
        super().pipe_connection_lost(fd, exc)
        if fd == 0 and exc is not None:
            self._stdin_closed = asyncio.get_running_loop().create_future()
            self._stdin_closed.set_exception(exc)

asyncio.subprocess.SubprocessStreamProtocol = AsPython3112

async def main():
    process = await Process.spawn(("/bin/cat",), {}, Path("/"))
    end = os.pidfd_open(process.pid)
    process.kill()
    select.select([end], [], [])
    with contextlib.suppress(ConnectionError):
        await process.write({})
    await process.ended()

asyncio.run(main())
gc.collect()
"""
STARTS_A_PROCESS_AND_WAITS = """
import asyncio, sys
from pathlib import Path
from workers.process import Process

async def main():
    process = await Process.spawn(("/bin/sleep", "600"), {}, Path("/"))
    print(process.pid, flush=True)
    await process.ended()

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
        await soon(process.ended())


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", script)


class Watched:
    """Tells when a process that is not our own child ends."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._handle, self._tell)

    def _tell(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        self._ended.set_result(None)

    async def ended(self) -> None:
        await soon(self._ended)


async def test_a_line_of_20_megabytes_passes_both_ways() -> None:
    frame = {"text": "x" * _TWENTY_MB}
    async with running("cat") as process:
        _, frames = await soon(asyncio.gather(process.write(frame), process.read()))
        assert frames == [frame]


async def test_frames_come_in_the_order_they_were_written() -> None:
    async with running("cat") as process:
        await process.write({"n": 1}, {"n": 2})
        await process.write({"n": 3})
        frames: list[object] = []
        while len(frames) < 3:
            frames += await soon(process.read())
        assert frames == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_child_has_exactly_the_environment_and_directory_it_was_given(tmp_path: Path) -> None:
    async with running(*python(TELLS_ITS_ENVIRONMENT), env={"ONLY": "this"}) as process:
        assert await soon(process.read()) == [{"ONLY": "this"}]
    where = 'import json, os; print(json.dumps({"cwd": os.getcwd()}))'
    async with running(*python(where), directory=tmp_path) as process:
        assert await soon(process.read()) == [{"cwd": str(tmp_path)}]


async def test_the_end_of_the_stream_is_an_empty_read_however_often_it_is_read() -> None:
    async with running(*python('print("{}")')) as process:
        assert await soon(process.read()) == [{}]
        assert await soon(process.read()) == []
        assert await soon(process.read()) == []
        assert await soon(process.ended()) == 0


async def test_the_status_of_a_child_that_ends_by_itself_is_told() -> None:
    async with running(*python("raise SystemExit(3)")) as process:
        assert await soon(process.ended()) == 3


async def test_killing_a_child_kills_what_it_started() -> None:
    async with running(*python(STARTS_A_CHILD)) as process:
        [frame] = await soon(process.read())
        grandchild = Watched(frame["child"])
        process.kill()
        assert await soon(process.ended()) == -signal.SIGKILL
        await grandchild.ended()


async def test_a_child_is_in_a_group_of_its_own() -> None:
    async with running("cat") as process:
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)


async def test_a_child_that_has_ended_can_be_killed_once_more() -> None:
    async with running(*python("")) as process:
        await soon(process.ended())
        process.kill()


async def test_the_last_words_on_stderr_are_there_at_the_end_of_the_stream() -> None:
    async with running(*python('import sys; sys.stderr.write("out of memory\\n")')) as process:
        assert await soon(process.read()) == []
        assert process.last_words() == "out of memory"


async def test_last_words_that_come_a_moment_after_the_end_of_the_stream_are_waited_for() -> None:
    async with running(*python('import os; os.close(1); import json; os.write(2, b"late")')) as process:
        assert await soon(process.read()) == []
        assert process.last_words() == "late"


async def test_of_a_long_stderr_only_the_last_is_kept() -> None:
    script = 'import sys; sys.stderr.write("x" * 500_000 + "the end")'
    async with running(*python(script)) as process:
        assert await soon(process.read()) == []
        words = process.last_words()
        assert words.endswith("xxxthe end")
        assert len(words) == 16 * 1024


async def test_stderr_that_is_not_utf_8_is_kept_as_well_as_can_be() -> None:
    async with running(*python('import os; os.write(2, b"bad \\xff byte")')) as process:
        await soon(process.read())
        assert process.last_words() == "bad \ufffd byte"


async def test_a_stderr_nobody_asks_for_does_not_stop_the_child() -> None:
    script = 'import sys; sys.stderr.write("x" * 1_000_000); print("{}")'
    async with running(*python(script)) as process:
        assert await soon(process.read()) == [{}]


async def test_writing_to_a_child_that_is_gone_is_a_connection_error() -> None:
    async with running(*python("")) as process:
        await soon(process.ended())
        with pytest.raises(ConnectionError):
            await soon(process.write({"n": 1}))


async def test_a_write_to_a_dead_process_prints_nothing_about_an_error_nobody_took() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITES_TO_A_DEAD_PROCESS),
        env={"PYTHONPATH": str(_SOURCE), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    printed, _ = await soon(child.communicate())

    assert (child.returncode, printed.decode()) == (0, "")


async def test_a_program_that_is_not_there_cannot_be_started() -> None:
    with pytest.raises(FileNotFoundError):
        await Process.spawn(("/nowhere/claude",), {}, Path("/"))


async def test_a_child_dies_with_this_program_however_this_program_dies() -> None:
    """A gateway killed outright runs no clean-up of its own."""
    gateway = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STARTS_A_PROCESS_AND_WAITS,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_SOURCE)},
    )
    assert gateway.stdout is not None
    child = Watched(json.loads(await soon(gateway.stdout.readline())))
    gateway.kill()
    await soon(gateway.wait())
    await child.ended()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the calls are those of x86-64")
async def test_no_key_of_the_gateway_s_session_is_seen_by_a_process() -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HAS_A_KEY_AND_STARTS_A_PROCESS),
        env={"PYTHONPATH": str(_SOURCE), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await child.communicate()
    own, childs = said.split()
    assert int(own) > 0
    assert int(childs) == -1


async def test_what_it_writes_to_stderr_is_kept_line_by_line() -> None:
    lines = ("2026-11-30T10:00:00Z [ERROR] API error (attempt 1/2): 400", "Segmentation fault")
    written = "".join(f"print({line!r}, file=sys.stderr)\n" for line in lines)
    async with running(*python(f"import sys\nsys.stdin.readline()\n{written}")) as process:
        await process.write({})
        assert await soon(process.read()) == []
        assert process.last_words() == "\n".join(lines)
        assert process.last_words(process.words) == ""
