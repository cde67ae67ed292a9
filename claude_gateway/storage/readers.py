"""Pool of read-only connections to the database, and functions for connections. Each connection has its own thread.

In WAL mode, readers and writers do not block each other. A reader sees the last commit before its transaction began.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiosqlite

# SQLite waits up to this long for a lock that another process holds, such as a backup process or the program `sqlite3`.
_BUSY_TIMEOUT_SECONDS = 5.0
_INTERRUPT_INTERVAL_SECONDS = 0.02


async def open_connection(path: Path, *, read_only: bool = False) -> aiosqlite.Connection:
    """Open a connection to the database in autocommit mode.

    If a text in the database is not valid UTF-8, the connection returns the text with replacement characters. Otherwise
    one damaged row would make the whole statement fail, and the gateway could not read the other rows.
    """
    uri = await asyncio.to_thread(lambda: f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}")
    connection = await aiosqlite.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.text_factory = decode_text
    return connection


class ReaderPool:
    """Pool of read-only connections to the database. The pool opens a connection only when a task needs one.

    Args:
        path: Path of the database file.
        count: Maximum number of connections.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count
        self._slots = asyncio.Semaphore(count)
        self._idle_connections: list[aiosqlite.Connection] = []

    async def open_connections(self) -> None:
        """Open all connections of the pool, and run a statement on each connection.

        The statement is necessary because SQLite opens the database file only when it runs the first statement.
        """
        async with AsyncExitStack() as stack:
            for _ in range(self._count):
                connection = await stack.enter_async_context(self.acquire())
                await connection.execute_fetchall("SELECT name FROM sqlite_schema LIMIT 1")

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[aiosqlite.Connection]:
        """Yield a connection for exclusive use during the `with` block.

        If the block raises an exception or is cancelled, the method interrupts the running statement of the connection
        and rolls back the transaction.
        """
        async with self._slots:
            connection = (
                self._idle_connections.pop()
                if self._idle_connections
                else await open_connection(self._path, read_only=True)
            )
            try:
                yield connection
            except BaseException:
                await _interrupt(connection)
                raise
            finally:
                self._idle_connections.append(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        """Yield a connection with an open transaction. All statements on it see the same state of the database."""
        async with self.acquire() as connection:
            await connection.execute("BEGIN")
            yield connection
            await connection.rollback()

    async def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle_connections:
            with suppress(ValueError):
                await self._idle_connections.pop().close()


class KeyedLocks:
    """Locks that are identified by names. A lock exists only while a task holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._user_counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def acquire(self, key: str) -> AsyncIterator[None]:
        """Hold the lock with the name `key` during the `with` block."""
        self._user_counts[key] += 1
        try:
            async with self._locks[key]:
                yield
        finally:
            self._user_counts[key] -= 1
            if not self._user_counts[key]:
                del self._user_counts[key], self._locks[key]


async def _interrupt(connection: aiosqlite.Connection) -> None:
    """Interrupt the running statement of a connection, and roll back its transaction.

    The function repeats the interrupt, because SQLite ignores an interrupt that comes before the statement has started.
    """
    rollback = asyncio.create_task(connection.rollback())
    while not rollback.done():
        await connection.interrupt()
        await asyncio.wait([rollback], timeout=_INTERRUPT_INTERVAL_SECONDS)
    # If the database file is damaged, the rollback has failed. Ignore this error, because the next statement reports
    # the damage.
    rollback.exception()


def decode_text(stored: bytes) -> str:
    """Decode UTF-8 bytes to a string, with replacement characters for invalid bytes."""
    return stored.decode(errors="replace")
