"""How much memory a process and all that came of it hold, read from /proc."""

import asyncio
import contextlib
import os
from collections import defaultdict
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Where a box has file systems in memory: what is written there is nobody's, and counts for none of its processes.
_IN_MEMORY = ("dev", "dev/shm", "tmp", "home/worker")


async def memory_mib(pid: int) -> int:
    """In MiB: resident memory without what is shared with others, and the files that are held in memory. 0 for a
    process that is gone."""
    return await asyncio.to_thread(_memory, pid)


def _memory(root: int) -> int:
    children = _children()
    waiting, used = [root], 0
    file_systems: set[int] = set()
    here = Path("/").stat()
    while waiting:
        pid = waiting.pop()
        waiting += children[pid]
        used += _private_bytes(pid) + _bytes_of_files(pid, here, file_systems)
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


def _bytes_of_files(pid: int, here: os.stat_result, counted: set[int]) -> int:
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
