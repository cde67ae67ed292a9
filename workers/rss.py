"""How much memory a process holds, read from /proc."""

import asyncio
import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


async def mebibytes(pid: int) -> int:
    """Resident memory in MiB; 0 for a process that is gone."""
    return await asyncio.to_thread(_read, pid)


def _read(pid: int) -> int:
    try:
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return resident_pages * _PAGE // (1024 * 1024)
