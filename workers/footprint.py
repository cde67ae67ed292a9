"""How much memory a process and all that came of it hold, read from /proc."""

import asyncio
import os
from collections import defaultdict
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


async def memory_mib(pid: int) -> int:
    """Resident memory in MiB without what is shared with others; 0 for a process that is gone."""
    return await asyncio.to_thread(_memory, pid)


def _memory(root: int) -> int:
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The command, in parentheses, may hold anything.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children[parent].append(int(entry.name))
    waiting, pages = [root], 0
    while waiting:
        pid = waiting.pop()
        waiting += children[pid]
        pages += _private_pages(pid)
    return pages * _PAGE // 2**20


def _private_pages(pid: int) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return int(resident) - int(shared)
