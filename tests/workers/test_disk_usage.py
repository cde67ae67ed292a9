"""What the places of an owner hold together."""

import sys
from pathlib import Path

from workers.disk_usage import DiskBounds, DiskUsage, Weight, weight_of_directories, weight_of_file

ONE, TWO = Path("/one"), Path("/two")
BOUNDS = DiskBounds(Weight(10_000, 3), Weight(30_000, 5))


def test_a_place_and_all_of_an_owner_have_bounds_of_bytes_and_of_entries() -> None:
    assert BOUNDS.exceeded_by(Weight(10_000, 3), Weight(30_000, 5)) == ""
    assert BOUNDS.exceeded_by(Weight(10_001, 0), Weight(0, 0)) == "SESSION_DISK_MB"
    assert BOUNDS.exceeded_by(Weight(0, 4), Weight(0, 0)) == "SESSION_DISK_MB"
    assert BOUNDS.exceeded_by(Weight(0, 0), Weight(30_001, 0)) == "SESSIONS_DISK_MB"
    assert BOUNDS.exceeded_by(Weight(0, 0), Weight(0, 6)) == "SESSIONS_DISK_MB"


def test_the_smallest_file_and_a_directory_count() -> None:
    assert weight_of_file(0) == weight_of_file(1) == weight_of_directories(1) == Weight(4_096, 1)
    assert weight_of_file(4_097) == Weight(8_192, 1)


def test_the_sum_is_of_one_owner_and_follows_what_is_known_to_have_changed() -> None:
    usage = DiskUsage()
    usage.note("ann", ONE, Weight(5, 1))
    usage.note("ann", TWO, Weight(7, 2))
    usage.note("bob", TWO, Weight(100, 100))

    usage.add("ann", ONE, Weight(1, 1))
    assert usage.of("ann") == Weight(13, 4)
    assert usage.forget("ann", ONE) == Weight(6, 2)
    assert usage.of("ann") == Weight(7, 2)
    assert usage.of("nobody") == Weight(0, 0)


def test_nothing_is_added_to_what_was_never_looked_at() -> None:
    usage = DiskUsage()

    usage.add("ann", ONE, Weight(1, 1))

    assert usage.get("ann", ONE) is None


def test_one_place_that_nobody_can_count_leaves_the_others_of_its_owner_their_room() -> None:
    usage = DiskUsage()

    usage.note("ann", ONE, Weight(5, sys.maxsize))

    assert usage.of("ann") == Weight(5, 100_001)
