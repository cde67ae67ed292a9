"""The directories in which Claude works with its own tools: one for each session that has any, one for each job that
has no session. They belong to the user that agents run as."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from workers.homes import check_own

_FRESH = "t-"
_KEPT = "p-"
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Weight:
    """What a place holds on the disk."""

    bytes: int
    entries: int


class Places:
    """Blocking calls run in threads. `user` is whom the directories are given to, None to keep them."""

    def __init__(self, base: Path, user: int | None) -> None:
        self._base = base / ".claude-gateway-places"
        self._user = user

    async def open(self) -> None:
        """Make the base, and remove what jobs of a dead gateway left. Raises `UnsafeDirectory` or `OSError`."""
        await asyncio.to_thread(self._open)

    async def fresh(self) -> Path:
        """A new, empty one."""
        return await asyncio.to_thread(self._fresh)

    def kept(self, owner: str, name: str) -> Path:
        """Where the one of a session is, or would be."""
        digest = hashlib.sha256(f"{len(owner)} {owner} {name}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._base / f"{_KEPT}{digest[:40]}"

    async def make_kept(self, owner: str, name: str) -> Path:
        return await asyncio.to_thread(self._make_kept, self.kept(owner, name))

    async def settle(self, fresh: Path, owner: str, name: str) -> Path:
        """Make a fresh one that of a session, with all that the session's had. A process that lives in it stays."""
        return await asyncio.to_thread(_settle, fresh, self.kept(owner, name))

    async def remove(self, place: Path) -> None:
        await asyncio.to_thread(_remove, place)

    async def sweep(self, keep: Collection[Path]) -> None:
        """Remove those of sessions that are no more."""
        await asyncio.to_thread(self._sweep, frozenset(keep))

    def _open(self) -> None:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_own(self._base)
        for left in self._base.glob(f"{_FRESH}*"):
            _remove(left)

    def _fresh(self) -> Path:
        return self._given(Path(tempfile.mkdtemp(prefix=_FRESH, dir=self._base)))

    def _make_kept(self, place: Path) -> Path:
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
            self._given(place)
        return place

    def _given(self, place: Path) -> Path:
        if self._user is not None:
            os.chown(place, self._user, self._user)
        return place

    def _sweep(self, keep: frozenset[Path]) -> None:
        for place in self._base.glob(f"{_KEPT}*"):
            if place not in keep:
                _remove(place)


async def weigh(place: Path) -> Weight:
    """Links are not followed; what cannot be read counts as nothing. What is nested so deep that no path leads there
    counts without end: nobody needs that but to hide something."""
    return await asyncio.to_thread(_weigh, place)


def _weigh(place: Path) -> Weight:
    size = entries = 0
    waiting = [(str(place), 0)]
    while waiting:
        path, depth = waiting.pop()
        if depth > _DEEPEST:
            return Weight(size, sys.maxsize)
        try:
            with os.scandir(path) as found:
                for entry in found:
                    entries += 1
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((entry.path, depth + 1))
                        else:
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return Weight(size, entries)


def _settle(fresh: Path, kept: Path) -> Path:
    if kept.is_dir():
        for entry in kept.iterdir():
            entry.replace(fresh / entry.name)
        kept.rmdir()
    return fresh.rename(kept)


def _remove(place: Path) -> None:
    with contextlib.suppress(RecursionError):
        shutil.rmtree(place, ignore_errors=True)
    if place.exists():
        # Work may leave directories that nobody may read or change, or nested without end; these two manage both, and
        # follow no links.
        for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
            subprocess.run([*command, "--", str(place)], check=False, capture_output=True)
