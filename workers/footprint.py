"""How much memory a process and all that came of it hold, read from /proc."""

import asyncio
import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Where a box has file systems in memory: what is written there is nobody's, and counts for none of its processes.
_IN_MEMORY = ("dev", "dev/shm", "tmp", "home/worker")

_KIB_SHARED = re.compile(rb"^RssShmem:\s*[1-9]", re.MULTILINE)
_KIB_OF_PART = re.compile(rb"^Pss_Shmem:\s*(\d+)", re.MULTILINE)


async def memory_mib(pid: int) -> int:
    """In MiB: resident memory without what is shared with others, and what is held in memory as a file or to be shared.
    What is both counts twice: too much rather than too little. 0 for a process that is gone."""
    return await asyncio.to_thread(_memory, pid)


def _memory(root: int) -> int:
    children = _children()
    waiting, used = [root], 0
    counted: set[Hashable] = set()
    here = Path("/").stat()
    while waiting:
        pid = waiting.pop()
        waiting += children[pid]
        used += _private_bytes(pid) + _shared_bytes(pid)
        used += _bytes_of_files(pid, here, counted) + _bytes_without_name(pid, counted)
    return used // 2**20


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The command, in parentheses, may hold anything.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children[parent].append(int(entry.name))
    return children


def _private_bytes(pid: int) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE


def _shared_bytes(pid: int) -> int:
    """Its part of memory that is shared without being a program's or a file's. Looked up only where there is any: it
    takes the kernel a while."""
    try:
        if _KIB_SHARED.search(Path(f"/proc/{pid}/status").read_bytes()) is None:
            return 0
        part = _KIB_OF_PART.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    except OSError:
        return 0
    return int(part[1]) * 1024 if part else 0


def _bytes_without_name(pid: int, counted: set[Hashable]) -> int:
    """Of files in memory that stand in no directory, each once: whoever has one open keeps it."""
    used = 0
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()).startswith("/memfd:"):
                    found = entry.stat()
                    if (found.st_dev, found.st_ino) not in counted:
                        counted.add((found.st_dev, found.st_ino))
                        used += found.st_blocks * 512
    return used


def _bytes_of_files(pid: int, here: os.stat_result, counted: set[Hashable]) -> int:
    """Of the box that the process sees, each file system once."""
    used = 0
    with contextlib.suppress(OSError):
        root = Path(f"/proc/{pid}/root")
        seen = root.stat()
        if (seen.st_dev, seen.st_ino) == (here.st_dev, here.st_ino):
            return 0
        for name in _IN_MEMORY:
            with contextlib.suppress(OSError):
                device = (root / name).stat().st_dev
                if device not in counted and device != here.st_dev:
                    counted.add(device)
                    found = os.statvfs(root / name)
                    used += (found.f_blocks - found.f_bfree) * found.f_frsize
    return used
