"""Memory of the machine or of the control group (cgroup v2) of the gateway, whichever has less."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from workers.core.memory_state import MemoryState

_MIB_BYTES = 2**20
_GROUP_PATTERN = re.compile(r"^0::/(.*)$", re.MULTILINE)
_PRESSURE_PATTERN = re.compile(r"^some avg10=(\d+(?:\.\d+)?)\b", re.MULTILINE)
_INACTIVE_FILE_PATTERN = re.compile(r"^inactive_file (\d+)", re.MULTILINE)


async def read_memory_state() -> MemoryState:
    """Return the memory of the machine, or of the control group with the least memory in which the gateway runs."""
    return await asyncio.to_thread(_read_memory_state, Path("/"))


def _read_memory_state(root: Path) -> MemoryState:
    """Return the memory that the files under `/proc` and `/sys` of a root directory report.

    The memory of the machine itself always comes from psutil.
    """
    memory = psutil.virtual_memory()
    total_mib, is_group_limit = memory.total // _MIB_BYTES, False
    available_mib = memory.available // _MIB_BYTES
    group_pressures = []
    for group in _list_own_groups(root):
        limit_mib, group_available_mib = _read_group_memory(group)
        available_mib = int(min(available_mib, group_available_mib))
        if limit_mib < total_mib:
            total_mib, is_group_limit = int(limit_mib), True
            if (group / "memory.pressure").exists():
                group_pressures.append(_read_pressure(group / "memory.pressure"))
    # The pressure of the whole machine may come from processes outside of the group.
    pressure_percent = max(group_pressures) if group_pressures else _read_pressure(root / "proc/pressure/memory")
    return MemoryState(total_mib, available_mib, pressure_percent, is_group_limit)


def _list_own_groups(root: Path) -> Iterator[Path]:
    """Return the directories of the gateway's control group and of its parents.

    In a container, the directory of the group is the root of the file system.
    """
    groups = root / "sys/fs/cgroup"
    match = _GROUP_PATTERN.search(_read(root / "proc/self/cgroup"))
    group = groups / match[1] if match else groups
    yield from (parent for parent in (group, *group.parents) if parent.is_relative_to(groups))


def _read_group_memory(group: Path) -> tuple[float, float]:
    """Return the limit of a control group and the available part of it, in MiB. Without a limit, both are infinite."""
    limits = [int(text) for name in ("max", "high") if (text := _read(group / f"memory.{name}")).isdecimal()]
    used = _read(group / "memory.current")
    if not limits or not used.isdecimal():
        return float("inf"), float("inf")
    inactive_file = _INACTIVE_FILE_PATTERN.search(_read(group / "memory.stat"))
    reclaimable_bytes = int(inactive_file[1]) if inactive_file else 0
    available_bytes = max(0, min(limits) - int(used) + reclaimable_bytes)
    return min(limits) // _MIB_BYTES, available_bytes // _MIB_BYTES


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _read_pressure(path: Path) -> float:
    match = _PRESSURE_PATTERN.search(_read(path))
    return float(match[1]) if match else 0.0
