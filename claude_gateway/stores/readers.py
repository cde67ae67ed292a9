"""Connections to the database that only read: a small pool, each with a thread of its own.

In WAL mode a reader waits for no writer and holds up none: it sees the database as it stood at the last commit before
it began.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiosqlite

# For another process at the same file: a backup, a look into it by hand.
_BUSY_SECONDS = 5.0
_INTERRUPTED_EVERY_SECONDS = 0.02


async def connect(path: Path, *, read_only: bool = False) -> aiosqlite.Connection:
    """Open a connection whose transactions are begun by hand.

    Text that is not UTF-8 is read with replacement characters: it would fail the statement, and with it every row that
    is read beside the damaged one.
    """
    name = await asyncio.to_thread(lambda: f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}")
    connection = await aiosqlite.connect(name, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.text_factory = read_text
    return connection


class Readers:
    """At most `count` connections to the database at `path`. `open` opens all of them; a connection that is not open is
    opened when it is first needed."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._idle: list[aiosqlite.Connection] = []

    async def open(self) -> None:
        """Open every connection, and its files: SQLite opens them with the first statement."""
        async with AsyncExitStack() as stack:
            for _ in range(self._count):
                connection = await stack.enter_async_context(self.one())
                await connection.execute_fetchall("SELECT name FROM sqlite_schema LIMIT 1")

    @asynccontextmanager
    async def one(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection that nobody else has, for the length of a `with`. Whatever ends the `with` early ends the
        statement too, and what was begun is undone."""
        async with self._free:
            connection = self._idle.pop() if self._idle else await connect(self._path, read_only=True)
            try:
                yield connection
            except BaseException:
                await _stop(connection)
                raise
            finally:
                self._idle.append(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        """The same, for statements that all see the database as it stands at one moment."""
        async with self.one() as connection:
            await connection.execute("BEGIN")
            yield connection
            await connection.rollback()

    async def close(self) -> None:
        while self._idle:
            with suppress(ValueError):
                await self._idle.pop().close()


class LocksByKey:
    """One at a time for each key; a key that nobody waits for takes no memory."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._present: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncIterator[None]:
        """The lock of the key, for the length of a `with`."""
        self._present[key] += 1
        try:
            async with self._locks[key]:
                yield
        finally:
            self._present[key] -= 1
            if not self._present[key]:
                del self._present[key], self._locks[key]


async def _stop(connection: aiosqlite.Connection) -> None:
    """End the statement that the connection's thread runs, or has yet to begin: an interruption before that is none."""
    rollback = asyncio.create_task(connection.rollback())
    while not rollback.done():
        await connection.interrupt()
        await asyncio.wait([rollback], timeout=_INTERRUPTED_EVERY_SECONDS)
    rollback.exception()  # of a damaged file; whatever is read next tells


def read_text(stored: bytes) -> str:
    """Text that is not UTF-8 is read, too."""
    return stored.decode(errors="replace")
