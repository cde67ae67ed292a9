"""Measures the memory usage of processes."""

import asyncio
import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

import psutil

_MIB_BYTES = 2**20
# The unit in which `stat` counts blocks on every file system.
_STAT_BLOCK_BYTES = 512
# The mount points of tmpfs file systems (file systems in memory) in a sandbox. The kernel does not count the files in
# these file systems as memory of a process.
_TMPFS_PATHS = ("dev", "dev/shm", "tmp", "home/worker")

_SHARED_KIB_PATTERN = re.compile(rb"^RssShmem:\s*[1-9]", re.MULTILINE)
_PROPORTIONAL_SHARED_KIB_PATTERN = re.compile(rb"^Pss_Shmem:\s*(\d+)", re.MULTILINE)


def read_rss_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes, or 0 if the process has exited."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


async def read_rss_mib(pid: int) -> int:
    """Return the resident memory of a process in MiB, or 0 if the process has exited."""
    return await asyncio.to_thread(read_rss_bytes, pid) // _MIB_BYTES


async def measure_process_tree_mib(pid: int) -> int:
    """Return the memory in MiB that a process and its descendants use, or 0 if the process has exited.

    The result is the sum of the private resident memory, the shared memory, and the files that exist only in memory
    (tmpfs and memfd). If a process maps such a file as shared memory, the function counts the file twice, so the result
    may be too high.
    """
    return await asyncio.to_thread(_measure_process_tree_bytes, pid) // _MIB_BYTES


def _measure_process_tree_bytes(root_pid: int) -> int:
    processes = _list_process_tree(root_pid)
    host_root = Path("/").stat()
    counted: set[Hashable] = set()
    return sum(
        _read_private_bytes(process)
        + _read_shared_bytes(process.pid)
        + _measure_tmpfs_bytes(process.pid, host_root, counted)
        + _measure_memfd_bytes(process.pid, counted)
        for process in processes
    )


def _list_process_tree(root_pid: int) -> list[psutil.Process]:
    """Return a process and its descendants, or an empty list if the process has exited."""
    try:
        root = psutil.Process(root_pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    except psutil.AccessDenied:
        # `children` reads every process on the host. If /proc is mounted with `hidepid=noaccess`, it fails, because the
        # gateway cannot read the processes of other users. `process_iter` skips these processes, but takes more than
        # twice as long.
        children: dict[int | None, list[psutil.Process]] = defaultdict(list)
        for process in psutil.process_iter(["ppid"]):
            children[process.info["ppid"]].append(process)
        tree = [root]
        for process in tree:
            tree += children[process.pid]
        return tree


def _read_private_bytes(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - memory.shared)


def _read_shared_bytes(pid: int) -> int:
    """Return the number of bytes of shared memory that the kernel counts for a process, without files on a disk.

    If several processes use the same shared memory, the kernel counts an equal part of it for each process. psutil does
    not report this number. The function reads the number only if the process has shared memory, because the kernel
    takes long to compute it.
    """
    try:
        if _SHARED_KIB_PATTERN.search(Path(f"/proc/{pid}/status").read_bytes()) is None:
            return 0
        shared = _PROPORTIONAL_SHARED_KIB_PATTERN.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    except OSError:
        return 0
    return int(shared[1]) * 1024 if shared else 0


def _measure_memfd_bytes(pid: int, counted_files: set[Hashable]) -> int:
    """Return the size in bytes of the memfd files (files in memory) that a process has open.

    The function does not count the files in `counted_files`, and adds the files that it counts to `counted_files`.
    """
    used_bytes = 0
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()).startswith("/memfd:"):
                    status = entry.stat()
                    if (status.st_dev, status.st_ino) not in counted_files:
                        counted_files.add((status.st_dev, status.st_ino))
                        used_bytes += status.st_blocks * _STAT_BLOCK_BYTES
    return used_bytes


def _measure_tmpfs_bytes(pid: int, host_root: os.stat_result, counted_devices: set[Hashable]) -> int:
    """Return the size in bytes of the files on the tmpfs file systems in a process's sandbox.

    The function does not count the file systems in `counted_devices`, and adds the file systems that it counts to
    `counted_devices`.
    """
    used_bytes = 0
    with contextlib.suppress(OSError):
        root = Path(f"/proc/{pid}/root")
        root_status = root.stat()
        if (root_status.st_dev, root_status.st_ino) == (host_root.st_dev, host_root.st_ino):
            return 0
        for name in _TMPFS_PATHS:
            with contextlib.suppress(OSError):
                device = (root / name).stat().st_dev
                if device not in counted_devices and device != host_root.st_dev:
                    counted_devices.add(device)
                    status = os.statvfs(root / name)
                    used_bytes += (status.f_blocks - status.f_bfree) * status.f_frsize
    return used_bytes
