"""Memory of the machine or of the control group (cgroup v2) of the gateway, whichever has less."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from workers.core.memory_state import MemoryState

_MIB_BYTES = 2**20
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PRESSURE_PATTERN = re.compile(r"^some avg10=([\d.]+)", re.MULTILINE)
_INACTIVE_FILE_PATTERN = re.compile(r"^inactive_file (\d+)", re.MULTILINE)


async def read_memory_state() -> MemoryState:
    """Return the memory of the machine, or of the control group with the least memory in which the gateway runs."""
    return await asyncio.to_thread(_read_memory_state)


def _read_memory_state() -> MemoryState:
    memory = psutil.virtual_memory()
    state = MemoryState(
        memory.total // _MIB_BYTES, memory.available // _MIB_BYTES, _read_pressure(Path("/proc/pressure/memory"))
    )
    for group in _list_own_groups():
        if (limited := _read_group(group)) is not None and limited.available_mib < state.available_mib:
            state = MemoryState(
                min(limited.total_mib, state.total_mib),
                limited.available_mib,
                max(limited.pressure_percent, state.pressure_percent),
            )
        elif limited is not None:
            state = MemoryState(min(limited.total_mib, state.total_mib), state.available_mib, state.pressure_percent)
    return state


def _list_own_groups() -> Iterator[Path]:
    """Return the directories of the gateway's control group and of its parents.

    In a container, the directory of the group is the root of the file system.
    """
    try:
        path = Path("/proc/self/cgroup").read_text().partition("0::/")[2].splitlines()[0]
    except (OSError, IndexError):
        path = ""
    group = _CGROUP_ROOT / path
    yield from (parent for parent in (group, *group.parents) if parent.is_relative_to(_CGROUP_ROOT))


def _read_group(group: Path) -> MemoryState | None:
    """Return the memory of a control group, or None if the group has no limit."""
    try:
        limit_bytes = min(int(text) for name in ("max", "high") if (text := _read(group / f"memory.{name}")).isdigit())
        used_bytes = int(_read(group / "memory.current"))
    except (OSError, ValueError):
        return None
    inactive_file = _INACTIVE_FILE_PATTERN.search(_read(group / "memory.stat"))
    reclaimable_bytes = int(inactive_file[1]) if inactive_file else 0
    available_bytes = max(0, limit_bytes - used_bytes + reclaimable_bytes)
    return MemoryState(
        limit_bytes // _MIB_BYTES, available_bytes // _MIB_BYTES, _read_pressure(group / "memory.pressure")
    )


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _read_pressure(path: Path) -> float:
    match = _PRESSURE_PATTERN.search(_read(path))
    return float(match[1]) if match else 0.0
