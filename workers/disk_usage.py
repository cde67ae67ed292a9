"""What the directories of each owner hold on the disk, as it was last seen. No I/O."""

import threading
from dataclasses import dataclass
from pathlib import Path

# What the smallest file or directory takes of a usual file system.
SMALLEST_BYTES = 4_096
# Of one place, where nobody says otherwise. A place that has more, or that nobody can count, counts for one more.
MOST_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Weight:
    """What a place holds on the disk."""

    bytes: int
    entries: int

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(self.bytes + other.bytes, self.entries + other.entries)

    def __sub__(self, other: "Weight") -> "Weight":
        return Weight(self.bytes - other.bytes, self.entries - other.entries)

    def exceeds(self, most: "Weight") -> bool:
        return self.bytes > most.bytes or self.entries > most.entries


NOTHING = Weight(0, 0)


def weight_of_file(size: int) -> Weight:
    """What a file of so many bytes takes, by itself."""
    return Weight(max(SMALLEST_BYTES, -(-size // SMALLEST_BYTES) * SMALLEST_BYTES), 1)


def weight_of_directories(count: int) -> Weight:
    return Weight(count * SMALLEST_BYTES, count)


@dataclass(frozen=True, slots=True)
class DiskBounds:
    """What one place may hold, and all places of an owner together."""

    of_a_place: Weight
    of_an_owner: Weight

    def exceeded_by(self, place: Weight, owner: Weight) -> str:
        """The setting that allows no more, "" where that is not exceeded."""
        if place.exceeds(self.of_a_place):
            return "SESSION_DISK_MB"
        return "SESSIONS_DISK_MB" if owner.exceeds(self.of_an_owner) else ""


class DiskUsage:
    """Of each owner and place. What was removed counts until it takes up the disk no more; a thread may say so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._weights: dict[str, dict[Path, Weight]] = {}

    def note(self, owner: str, place: Path, weight: Weight) -> None:
        """It was looked at."""
        counted = Weight(weight.bytes, min(weight.entries, MOST_ENTRIES + 1))
        with self._lock:
            self._weights.setdefault(owner, {})[place] = counted

    def add(self, owner: str, place: Path, more: Weight) -> None:
        """It became heavier, or lighter, by what is known; nothing changes where it was never looked at."""
        with self._lock:
            weights = self._weights.get(owner, {})
            if place in weights:
                weights[place] += more

    def get(self, owner: str, place: Path) -> Weight | None:
        """None for one that was never looked at."""
        return self._weights.get(owner, {}).get(place)

    def forget(self, owner: str, place: Path) -> Weight | None:
        """What it had, where it was ever looked at."""
        with self._lock:
            weights = self._weights.get(owner, {})
            known = weights.pop(place, None)
            if not weights:
                self._weights.pop(owner, None)
            return known

    def of(self, owner: str) -> Weight:
        """Of all places of the owner together."""
        with self._lock:
            return sum(self._weights.get(owner, {}).values(), NOTHING)
