"""Look at the processes of this machine and wait for them."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def list_child_pids(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def wait_exited(pids: list[int]) -> None:
    """Wait until none of these processes exists any more."""
    living = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = await asyncio.to_thread(psutil.wait_procs, living, timeout=10)
    assert not alive


def find_command_lines(word: str) -> list[str]:
    """Return the command lines on this machine that contain `word`."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if word in line:
                lines.append(line)
    return lines


async def wait_until(happened: Callable[[], bool]) -> None:
    """Poll until `happened` returns True: no event announces changes of processes and files of others."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(happened):
            await asyncio.to_thread(time.sleep, 0.02)


def find_worker_pids() -> list[int]:
    """Return the claude processes that this test process started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if "claude" in Path(f"/proc/{pid}/cmdline").read_text()]
