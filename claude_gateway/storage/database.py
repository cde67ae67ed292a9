"""Open the gateway's SQLite database and run statements on it.

The gateway opens two connections for writing and a few for reading. The first writing connection uses
`synchronous=FULL`, so that its commits survive a power failure and not only a killed process. This matters for
sessions, because the client of a session sends only new messages after each response. A lost turn would therefore
corrupt the conversation. Each response has to wait until the data is on the disk, but this wait does not block the
event loop. The second writing connection does not wait for the disk. In WAL mode, other processes can read while the
gateway writes.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import aiosqlite

from claude_gateway.core.errors import ApiError
from claude_gateway.core.periodic import Sleep, run_every
from claude_gateway.storage.migrations import MIGRATIONS
from claude_gateway.storage.readers import KeyedLocks, ReaderPool, open_connection

# Raise the log level, because aiosqlite would otherwise log each statement with its values. The values include
# conversations and secrets.
logging.getLogger("aiosqlite").setLevel(logging.WARNING)
_log = logging.getLogger(__name__)

Row = tuple[Any, ...]
Execute = Callable[..., Awaitable[list[Row]]]

DATABASE_FILE_NAME = "gateway.db"
_RETRY_AFTER_SECONDS = 30
_RECOVERY_CHECK_SECONDS = 5.0
_PROBE_BYTES = 2**20
# Number of reading connections for requests. There are two connections, so that a request that reads some megabytes
# does not block the other requests.
_READER_COUNT = 2
# Number of reading connections for usage reports. Reports read many rows and use separate connections, so that other
# requests do not wait for reports.
_REPORT_READER_COUNT = 2
_MAX_REPORT_SECONDS = 30.0
_NONDURABLE_PRAGMAS = ("PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -256")
_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")


class StorageUnavailable(Exception):
    """Raised if the program cannot open, back up or restore the database.

    The text of the error is one line with the reason, and with a remedy if there is one.
    """


class StorageError(ApiError):
    """Raised if the database file or its disk fails during a request. The failed transaction has written nothing.

    The error contains SQLite's message. This message is safe for clients, because it contains neither paths nor values.
    """

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(
            503,
            "api_error",
            f"The gateway's database cannot be used: {error}.",
            code="storage_unavailable",
            retry_after=_RETRY_AFTER_SECONDS,
        )


class ReportTimeout(ApiError):
    """Raised if the gateway cancels the computation of a usage report because it takes too long."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "api_error",
            f"The report took longer than {_MAX_REPORT_SECONDS:.0f} seconds. Request fewer days.",
            code="report_timeout",
            retry_after=_RETRY_AFTER_SECONDS,
        )


class Database:
    """Runs statements on the database. Writing statements run one after another. Reading statements run concurrently.

    Methods raise `StorageError` if the database file or its disk fails.

    Args:
        connection: Connection for writes that survive a power failure.
        nondurable_connection: Connection for writes that may be lost in a power failure. Such writes do not wait for
            the disk.
        path: Path of the database file.

    Attributes:
        failure_reason: Message of the last failure. It becomes an empty string when a recovery check succeeds.
        is_in_use: Whether `open_database` has finished opening the database. The object logs failures only after that,
            because `open_database` reports earlier failures.
    """

    def __init__(
        self, connection: aiosqlite.Connection, nondurable_connection: aiosqlite.Connection, path: Path
    ) -> None:
        self._connection = connection
        self._nondurable_connection = nondurable_connection
        self._path = path
        self._write_lock = asyncio.Lock()
        self._readers = ReaderPool(path, _READER_COUNT)
        self._report_readers = ReaderPool(path, _REPORT_READER_COUNT)
        self._report_locks = KeyedLocks()
        self.failure_reason = ""
        self.is_in_use = False

    @property
    def is_failing(self) -> bool:
        """Whether a statement has failed, and no recovery check has succeeded since then."""
        return bool(self.failure_reason)

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement in a transaction of its own, and return the rows of the result."""
        async with self._write_lock:
            with self._track_failures():
                return await self._execute_locked(sql, parameters)

    async def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement that only reads, and return the rows of the result.

        The statement sees all earlier commits and does not wait for any writer.
        """
        with self._track_failures():
            async with self._readers.acquire() as connection:
                return await _fetch_rows(connection, sql, parameters)

    async def open_readers(self) -> None:
        """Open all reading connections, so that the number of open files does not change later."""
        with self._track_failures():
            await self._readers.open_connections()
            await self._report_readers.open_connections()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Execute]:
        """Yield a function that runs reading statements. All statements see the same state of the database."""
        with self._track_failures():
            async with self._readers.snapshot() as connection:
                yield partial(_fetch_rows, connection)

    @asynccontextmanager
    async def report_snapshot(self, requesting_key_id: str) -> AsyncIterator[Execute]:
        """Yield a function that runs the slow statements of a usage report. All see the same state of the database.

        Args:
            requesting_key_id: Id of the key that requests the report. The database computes the reports of one key one
                after another, so that a report of another key waits for at most one of them.

        Raises:
            ReportTimeout: The computation of the report took too long.
        """
        try:
            async with self._report_locks.acquire(requesting_key_id), asyncio.timeout(_MAX_REPORT_SECONDS):
                with self._track_failures():
                    async with self._report_readers.snapshot() as connection:
                        yield partial(_fetch_rows, connection)
        except TimeoutError:
            raise ReportTimeout from None

    async def close(self) -> None:
        """Close all connections.

        The method closes the durable writing connection last. SQLite then deletes the WAL file.
        """
        await self._report_readers.close()
        await self._readers.close()
        await self._nondurable_connection.close()
        await self._connection.close()

    async def execute_nondurable(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a writing statement that survives a killed process, but may be lost in a power failure."""
        # All writing statements use the same lock, because SQLite would reject a second writer or block the thread of
        # the second writer.
        async with self._write_lock:
            with self._track_failures():
                await self._nondurable_connection.execute_fetchall(sql, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Execute]:
        """Yield a function that runs statements in one transaction.

        An exception in the `with` block rolls the transaction back. Transactions run one at a time, because they use
        the same connection. Otherwise a commit would include the statements of another transaction.
        """
        async with self._write_lock:
            with self._track_failures():
                try:
                    await self._execute_locked("BEGIN IMMEDIATE")
                    yield self._execute_locked
                    await self._connection.commit()
                except BaseException:
                    # If the task is cancelled, the present statement continues to run in the thread of the connection.
                    # The rollback runs after this statement.
                    await self._connection.rollback()
                    raise

    async def _execute_locked(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return await _fetch_rows(self._connection, sql, parameters)

    @contextmanager
    def _track_failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # the statement is invalid, which does not mean that the database fails
        except sqlite3.Error as error:
            if self.is_in_use and str(error) != self.failure_reason:
                _log.error("the database %s cannot be used: %s", self._path, error)
            self.failure_reason = str(error)
            raise StorageError(error) from error

    async def check_recovery(self) -> None:
        """Check whether the database works again, and clear `failure_reason` if the database works.

        The check writes to the database, because reading works even if the disk is full.
        """
        with suppress(OSError, StorageError):
            await asyncio.to_thread(_probe_disk, self._path)
            async with self.transaction() as run:
                ((version,),) = await run("PRAGMA user_version")
                await run(f"PRAGMA user_version = {version}")
            _log.warning("the database %s can be used again", self._path)
            self.failure_reason = ""

    @asynccontextmanager
    async def run_recovery_checks(self, sleep: Sleep = asyncio.sleep) -> AsyncIterator[None]:
        """Check periodically, during the `with` block, whether a failing database works again.

        Requests alone would not detect the recovery, because clients may stop sending requests while the database
        fails.
        """
        async with run_every(
            _RECOVERY_CHECK_SECONDS, self._check_if_failing, task_name="the recovery check of the database", sleep=sleep
        ):
            yield

    async def _check_if_failing(self) -> None:
        if self.is_failing:
            await self.check_recovery()


@asynccontextmanager
async def open_database(path: Path, migrations: Sequence[str] = MIGRATIONS) -> AsyncIterator[Database]:
    """Open the database for use in a `with` block. If needed, create the database or migrate it to the current schema.

    Args:
        path: Path of the database file.
        migrations: All migration scripts, oldest first.

    Raises:
        StorageUnavailable: The gateway cannot use the database. The text of the error contains the remedy.
    """
    try:
        await asyncio.to_thread(_create_file, path)
        connection = await open_connection(path)
        nondurable_connection = await open_connection(path)
    except (OSError, sqlite3.Error) as error:
        raise StorageUnavailable(f"Cannot use the database {path}: {_error_reason(error)}. Set STATE_DIR.") from None
    database = Database(connection, nondurable_connection, path)
    try:
        try:
            for pragma in _PRAGMAS:
                await database.execute(pragma)
            await _migrate(database, path, migrations)
            for pragma in _NONDURABLE_PRAGMAS:
                await database.execute_nondurable(pragma)
            await database.open_readers()
        except StorageError:
            raise StorageUnavailable(
                f"Cannot use the database {path}: {database.failure_reason}. If it is damaged, restore a backup, "
                "move the file away, or set another STATE_DIR."
            ) from None
        database.is_in_use = True
        yield database
    finally:
        await database.close()


async def _fetch_rows(connection: aiosqlite.Connection, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
    return cast("list[Row]", list(await connection.execute_fetchall(sql, parameters)))


def _create_file(path: Path) -> None:
    """Create the database file so that only the current user can read it, because it contains conversations.

    The gateway creates the file itself, because SQLite would make it readable for other users. SQLite then creates its
    other files beside the database with the same mode.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _probe_disk(path: Path) -> None:
    """Write a file of one megabyte and delete it again, to find out whether the disk is full.

    Writing to the database is not enough to find this out, because SQLite can reuse free pages in the database file.
    """
    probe = path.with_suffix(".trial")
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    finally:
        probe.unlink(missing_ok=True)


async def _migrate(database: Database, path: Path, migrations: Sequence[str]) -> None:
    """Run the migration scripts that no gateway has run on the database yet, in one transaction."""
    async with database.transaction() as run:
        ((version,),) = await run("PRAGMA user_version")
        if version > len(migrations):
            raise StorageUnavailable(
                f"A newer claude-gateway created the database {path} (version {version}, this one supports versions "
                f"up to {len(migrations)}): install the newer one, or set another STATE_DIR."
            )
        for script in migrations[version:]:
            for statement in _split_statements(script):
                await run(statement)
        await run(f"PRAGMA user_version = {len(migrations)}")


def _split_statements(script: str) -> Iterator[str]:
    """Yield each statement of an SQL script.

    The gateway does not use `executescript`, because that would commit the surrounding transaction.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _error_reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
