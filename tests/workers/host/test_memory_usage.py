import asyncio
import os
import sys

import psutil
import pytest

from workers.host.memory_usage import measure_process_tree_mib, read_rss_bytes, read_rss_mib

_MIB_BYTES = 2**20
# Allocates 32 MiB of the kind that its argument names, prints `ready`, and exits at the end of stdin.
_PROGRAM = """
import mmap, os, subprocess, sys
size, kind = 32 * 2**20, sys.argv[1]
if kind == "child":
    allocated = subprocess.Popen([sys.executable, "-c", sys.argv[2], "private", sys.argv[2]])
    sys.exit(allocated.wait())
if kind == "private":
    allocated = bytearray(os.urandom(1) * size)
elif kind == "shared":
    allocated = mmap.mmap(-1, size)
    allocated.write(b"x" * size)
else:
    allocated = os.memfd_create("allocated")
    os.write(allocated, b"x" * size)
print("ready", flush=True)
sys.stdin.read()
"""


async def test_measures_the_memory_of_this_process() -> None:
    assert 1 < await read_rss_mib(os.getpid()) < 100_000
    assert 1 < await measure_process_tree_mib(os.getpid()) < 100_000


def test_returns_resident_memory_in_bytes() -> None:
    assert read_rss_bytes(os.getpid()) > _MIB_BYTES


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
async def test_returns_zero_for_a_process_that_has_exited(pid: int) -> None:
    assert await read_rss_mib(pid) == 0
    assert await measure_process_tree_mib(pid) == 0


async def test_counts_children_if_processes_of_other_users_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: psutil.Process, recursive: bool = False) -> list[psutil.Process]:
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(psutil.Process, "children", refuse)

    await test_counts_memory_of_a_process_and_its_children("child")


@pytest.mark.parametrize("kind", ["private", "shared", "memfd", "child"])
async def test_counts_memory_of_a_process_and_its_children(kind: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, kind, _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"

    used_mib = await measure_process_tree_mib(process.pid)

    process.stdin.close()
    await process.wait()
    assert 32 <= used_mib < 32 + 40
