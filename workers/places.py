"""The directories in which Claude works with its own tools: one for each session that has any, one for each job that
has no session. They belong to the user that agents run as.

Beside each is another, of the gateway's own, with the record of its conversation: what the CLI wrote down, and where in
it which conversation ends.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from workers.disk_usage import SMALLEST_BYTES, DiskUsage, Weight
from workers.homes import check_own
from workers.record import NO_RECORD, Record, read
from workers.remover import Remover

_FRESH = "t-"
_KEPT = "p-"
_RECORD = "r-"
_TALK = "talk"
_ENDS = "ends.json"
T = TypeVar("T")
MOST_DEPTH = 100
_MOST_ENTRIES = 1_000_000
_NOT_OF_THE_PLACE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})
# Apart from the threads that everybody shares: a large tree takes a while.
_walkers = ThreadPoolExecutor(2, thread_name_prefix="walk")


def talk_of(place: Path) -> Path:
    """Where the CLI that works in a place writes down its conversation."""
    return _record_of(place) / _TALK


def _record_of(place: Path) -> Path:
    return place.with_name(f"{_RECORD}{place.name}")


class Places:
    """Blocking calls run in threads. `user` is whom the directories are given to, None to keep them. `usage` is what
    the places of each owner hold."""

    def __init__(self, base: Path, user: int | None) -> None:
        self._base = base / ".claude-gateway-places"
        self._user = user
        self._remover = Remover(base)
        self._owners: dict[Path, str] = {}
        self.usage = DiskUsage()

    async def open(self) -> None:
        """Make the base, begin to remove what jobs of a dead gateway left. Raises `UnsafeDirectory` or `OSError`."""
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Remove nothing any more."""
        await asyncio.to_thread(self._remover.close)

    async def removed(self) -> None:
        """Wait until all that was removed takes up the disk no more."""
        await asyncio.to_thread(self._remover.wait)

    async def fresh(self) -> Path:
        """A new, empty one."""
        return await asyncio.to_thread(self._fresh)

    def kept(self, owner: str, name: str) -> Path:
        """Where the one of a session is, or would be."""
        digest = hashlib.sha256(f"{len(owner)} {owner} {name}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._base / f"{_KEPT}{digest[:40]}"

    async def make_kept(self, owner: str, name: str) -> Path:
        place = self.kept(owner, name)
        self._owners[place] = owner
        return await asyncio.to_thread(self._make_kept, place)

    async def weigh(self, owner: str, name: str) -> Weight:
        """What the place of a session and its record hold now."""
        place = self.kept(owner, name)
        self._owners[place] = owner
        weight = await weigh_both(place)
        self.usage.note(owner, place, weight)
        return weight

    async def weight(self, owner: str, name: str) -> Weight:
        """The same as it was last seen, looked at only where it never was."""
        known = self.usage.get(owner, self.kept(owner, name))
        return await self.weigh(owner, name) if known is None else known

    async def weigh_unknown(self, names: Collection[tuple[str, str]]) -> None:
        """Look at the places of these sessions that were not looked at yet."""
        for owner, name in names:
            await self.weight(owner, name)

    async def settle(self, fresh: Path, owner: str, name: str) -> Path:
        """Make a fresh one that of a session, with all that the session's had. A process that lives in it stays."""
        place = self.kept(owner, name)
        self._owners[place] = owner
        return await asyncio.to_thread(self._settle, fresh, place)

    async def remove(self, place: Path) -> None:
        """The place and its record. They are not there any more when this returns, however large they were."""
        await asyncio.to_thread(self._remove_both, place)

    async def record(self, owner: str, name: str) -> Record:
        """Where the conversation of a session can be taken up from; an empty one where it cannot."""
        return await asyncio.to_thread(_read_record, self.kept(owner, name))

    async def write_record(self, place: Path, record: Record) -> None:
        await asyncio.to_thread(_write_record, place, record)

    async def forget(self, place: Path) -> None:
        """Begin its record anew."""
        await asyncio.to_thread(self._forget, place)

    async def sweep(self, keep: Collection[Path]) -> None:
        """Remove those of sessions that are no more."""
        await asyncio.to_thread(self._sweep, frozenset(keep))

    def _open(self) -> None:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_own(self._base)
        for left in self._places(_FRESH):
            self._remove_both(left)
        self._remover.open()

    def _fresh(self) -> Path:
        place = self._given(Path(tempfile.mkdtemp(prefix=_FRESH, dir=self._base)))
        self._make_record(place)
        return place

    def _make_kept(self, place: Path) -> Path:
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
            self._given(place)
        self._make_record(place)
        return place

    def _make_record(self, place: Path) -> None:
        with contextlib.suppress(FileExistsError):
            talk_of(place).parent.mkdir(mode=0o700)
            talk_of(place).mkdir(mode=0o700)
            self._given(talk_of(place))

    def _forget(self, place: Path) -> None:
        self._remover.remove(_record_of(place))
        self._make_record(place)

    def _given(self, place: Path) -> Path:
        if self._user is not None:
            os.chown(place, self._user, self._user)
        return place

    def _sweep(self, keep: frozenset[Path]) -> None:
        for place in self._places(_KEPT) - keep:
            self._remove_both(place)

    def _remove_both(self, place: Path) -> None:
        owner = self._owners.pop(place, None)
        weight = self.usage.forget(owner, place) if owner is not None else None
        self._remover.remove(_record_of(place))
        if owner is None or weight is None:
            self._remover.remove(place)
            return
        gone = place.with_name(f"{place.name}-{secrets.token_hex(8)}")
        self.usage.note(owner, gone, weight)
        self._remover.remove(place, partial(self.usage.forget, owner, gone))

    def _settle(self, fresh: Path, kept: Path) -> Path:
        if kept.is_dir():
            for entry in kept.iterdir():
                entry.replace(fresh / entry.name)
            kept.rmdir()
        self._remover.remove(_record_of(kept))
        _record_of(fresh).rename(_record_of(kept))
        return fresh.rename(kept)

    def _places(self, kind: str) -> set[Path]:
        """Those of which anything is there, be it the record alone."""
        records = self._base.glob(f"{_RECORD}{kind}*")
        return {*self._base.glob(f"{kind}*"), *(one.with_name(one.name.removeprefix(_RECORD)) for one in records)}


async def weigh(place: Path) -> Weight:
    """Links are not followed; what may not be read counts as nothing. What is nested so deep that no path leads there
    counts without end: nobody needs that but to hide something. So does what holds more than a million entries.
    Raises `OSError` where it is the machine that cannot look."""
    return await walked(partial(_weigh, place))


async def walked(walk: Callable[[], T]) -> T:
    """What a walk through a tree finds, made by threads of their own: a large tree takes a while."""
    return await asyncio.get_running_loop().run_in_executor(_walkers, walk)


async def weigh_both(place: Path) -> Weight:
    """A place and what is written down of its conversation."""
    return await weigh(place) + await weigh(talk_of(place))


def _weigh(place: Path) -> Weight:
    size = entries = 0
    waiting = [(str(place), 0)]
    while waiting:
        path, depth = waiting.pop()
        if depth > MOST_DEPTH or entries > _MOST_ENTRIES:
            return Weight(size, sys.maxsize)
        try:
            with os.scandir(path) as found:
                for entry in found:
                    entries += 1
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((entry.path, depth + 1))
                        # Whatever the file system says: an empty file and a directory take room, too.
                        size += max(SMALLEST_BYTES, entry.stat(follow_symlinks=False).st_blocks * 512)
        except OSError as error:
            if error.errno in _NOT_OF_THE_PLACE:
                raise
    return Weight(size, entries)


def _read_record(place: Path) -> Record:
    try:
        return read((_record_of(place) / _ENDS).read_bytes())
    except OSError:
        return NO_RECORD


def _write_record(place: Path, record: Record) -> None:
    new = _record_of(place) / f"{_ENDS}.new"
    new.write_bytes(record.written())
    new.replace(new.with_name(_ENDS))
