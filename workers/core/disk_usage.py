"""Stores the last measured disk usage of the workspaces of each API key, and checks disk limits."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.core.errors import Limit

# The disk space that the smallest file or directory needs on a usual file system.
MIN_ENTRY_BYTES = 4_096
# The maximum number of files and directories in one workspace. If a workspace contains more, or too many to count, the
# gateway stores this number plus one.
DEFAULT_MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The number of bytes and the number of entries (files and directories) that something uses on the disk."""

    size_bytes: int
    entry_count: int

    def __add__(self, other: "DiskUsage") -> "DiskUsage":
        return DiskUsage(self.size_bytes + other.size_bytes, self.entry_count + other.entry_count)

    def __sub__(self, other: "DiskUsage") -> "DiskUsage":
        return DiskUsage(self.size_bytes - other.size_bytes, self.entry_count - other.entry_count)

    def exceeds(self, limit: "DiskUsage") -> bool:
        """Return whether the number of bytes or the number of entries is higher than in `limit`."""
        return self.size_bytes > limit.size_bytes or self.entry_count > limit.entry_count


NO_DISK_USAGE = DiskUsage(0, 0)


def estimate_file_usage(size_bytes: int) -> DiskUsage:
    """Return the disk usage of a file with `size_bytes` bytes, rounded up to whole disk blocks."""
    return DiskUsage(max(MIN_ENTRY_BYTES, -(-size_bytes // MIN_ENTRY_BYTES) * MIN_ENTRY_BYTES), 1)


def estimate_directory_usage(count: int) -> DiskUsage:
    """Return the disk usage of `count` empty directories together."""
    return DiskUsage(count * MIN_ENTRY_BYTES, count)


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """The maximum disk usage of one workspace, and the maximum disk usage of all workspaces of a key together."""

    per_workspace: DiskUsage
    per_key: DiskUsage

    def find_exceeded(
        self, workspace_usage: DiskUsage, key_usage: DiskUsage
    ) -> Literal[Limit.SESSION_DISK, Limit.KEY_DISK] | None:
        """Return the limit that the usage exceeds, or None if the usage is within both limits."""
        if workspace_usage.exceeds(self.per_workspace):
            return Limit.SESSION_DISK
        return Limit.KEY_DISK if key_usage.exceeds(self.per_key) else None


class DiskUsageTracker:
    """Stores the last known disk usage of the workspaces of all keys. Several threads may use the object.

    The disk usage of a removed directory counts until its files are deleted. The thread that deletes the files then
    calls `remove`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage_by_key: dict[str, dict[Path, DiskUsage]] = {}

    def update(self, key_id: str, workspace: Path, usage: DiskUsage) -> None:
        """Store the measured disk usage of a workspace."""
        bounded = DiskUsage(usage.size_bytes, min(usage.entry_count, DEFAULT_MAX_ENTRIES + 1))
        with self._lock:
            self._usage_by_key.setdefault(key_id, {})[workspace] = bounded

    def add(self, key_id: str, workspace: Path, change: DiskUsage) -> None:
        """Add a known change to the disk usage of a workspace. Do nothing if the workspace was never measured."""
        with self._lock:
            usages = self._usage_by_key.get(key_id, {})
            if workspace in usages:
                usages[workspace] += change

    def get(self, key_id: str, workspace: Path) -> DiskUsage | None:
        """Return the last known disk usage of a workspace, or None if the workspace was never measured."""
        return self._usage_by_key.get(key_id, {}).get(workspace)

    def remove(self, key_id: str, workspace: Path) -> DiskUsage | None:
        """Remove a workspace from the tracker, and return the last known disk usage of the workspace.

        Return None if the workspace was never measured.
        """
        with self._lock:
            usages = self._usage_by_key.get(key_id, {})
            removed = usages.pop(workspace, None)
            if not usages:
                self._usage_by_key.pop(key_id, None)
            return removed

    def get_total(self, key_id: str) -> DiskUsage:
        """Return the disk usage of all workspaces of a key together."""
        with self._lock:
            return sum(self._usage_by_key.get(key_id, {}).values(), NO_DISK_USAGE)
