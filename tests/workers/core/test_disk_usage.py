"""Disk usage of the workspaces of a key."""

import sys
from pathlib import Path

from workers.core.disk_usage import (
    DiskLimits,
    DiskUsage,
    DiskUsageTracker,
    estimate_directory_usage,
    estimate_file_usage,
)
from workers.core.errors import Limit

FIRST, SECOND = Path("/one"), Path("/two")
LIMITS = DiskLimits(DiskUsage(10_000, 3), DiskUsage(30_000, 5))


def test_limits_bytes_and_entries_of_a_workspace_and_of_a_key() -> None:
    assert LIMITS.find_exceeded(DiskUsage(10_000, 3), DiskUsage(30_000, 5)) is None
    assert LIMITS.find_exceeded(DiskUsage(10_001, 0), DiskUsage(0, 0)) is Limit.SESSION_DISK
    assert LIMITS.find_exceeded(DiskUsage(0, 4), DiskUsage(0, 0)) is Limit.SESSION_DISK
    assert LIMITS.find_exceeded(DiskUsage(0, 0), DiskUsage(30_001, 0)) is Limit.KEY_DISK
    assert LIMITS.find_exceeded(DiskUsage(0, 0), DiskUsage(0, 6)) is Limit.KEY_DISK


def test_an_empty_file_and_a_directory_count_as_one_block() -> None:
    assert estimate_file_usage(0) == estimate_file_usage(1) == estimate_directory_usage(1) == DiskUsage(4_096, 1)
    assert estimate_file_usage(4_097) == DiskUsage(8_192, 1)


def test_sums_the_workspaces_of_one_key_and_adds_known_changes() -> None:
    tracker = DiskUsageTracker()
    tracker.update("ann", FIRST, DiskUsage(5, 1))
    tracker.update("ann", SECOND, DiskUsage(7, 2))
    tracker.update("bob", SECOND, DiskUsage(100, 100))

    tracker.add("ann", FIRST, DiskUsage(1, 1))
    assert tracker.get_total("ann") == DiskUsage(13, 4)
    assert tracker.remove("ann", FIRST) == DiskUsage(6, 2)
    assert tracker.get_total("ann") == DiskUsage(7, 2)
    assert tracker.get_total("carol") == DiskUsage(0, 0)


def test_ignores_a_change_of_a_workspace_that_was_never_measured() -> None:
    tracker = DiskUsageTracker()

    tracker.add("ann", FIRST, DiskUsage(1, 1))

    assert tracker.get("ann", FIRST) is None


def test_limits_the_entries_of_a_workspace_with_too_many_to_count() -> None:
    tracker = DiskUsageTracker()

    tracker.update("ann", FIRST, DiskUsage(5, sys.maxsize))

    assert tracker.get_total("ann") == DiskUsage(5, 100_001)
