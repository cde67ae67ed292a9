"""The database of the gateway: one SQLite file. One connection writes, a few others read (`stores.readers`).

`synchronous=FULL`: what was committed survives a machine that loses its power, not only a killed process. A caller
who was answered sends nothing but what is new afterwards, so a turn lost behind his back would show as nonsense. Its
price is one flush an answer, outside the event loop. WAL: another process may read while this one writes.
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

from claude_gateway.errors import ApiError
from claude_gateway.stores.readers import LocksByKey, Readers, connect
from claude_gateway.stores.schema import SCRIPTS

# It logs every statement with what is written: what people said, and their secrets.
logging.getLogger("aiosqlite").setLevel(logging.WARNING)
_log = logging.getLogger(__name__)

Row = tuple[Any, ...]
Run = Callable[..., Awaitable[list[Row]]]

DATABASE = "gateway.db"
_FAILING_RETRY_SECONDS = 30
_TRIED_AGAIN_SECONDS = 5.0
_TRIAL_BYTES = 2**20
# Requests read with these; a read of some megabytes does not hold up the others.
_READERS = 2
# Reports add up many lines: they have connections of their own, so that no request waits behind them.
_REPORT_READERS = 2
_MAX_REPORT_SECONDS = 30.0
_LIGHT = ("PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -256")
_SETTINGS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")


class StoreUnusable(Exception):
    """The database cannot be used; the text is one line that says why and what to do."""


class StoreFailing(ApiError):
    """The file or its disk failed in the middle of the work; nothing of what was to be written stands there.

    What SQLite says of it names neither a path nor a value.
    """

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(
            503,
            "api_error",
            f"The gateway's database cannot be used: {error}.",
            code="store_failing",
            retry_after=_FAILING_RETRY_SECONDS,
        )


class ReportTooSlow(ApiError):
    """A report was ended because it took too long."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "api_error",
            f"The report took longer than {_MAX_REPORT_SECONDS:.0f} seconds. Ask for fewer days.",
            code="report_too_slow",
            retry_after=_FAILING_RETRY_SECONDS,
        )


class Database:
    """Runs the statements that write one after another, and those that read beside them. Raises `StoreFailing` where
    the file or its disk is at fault; `fault` is what was found then, until a trial finds nothing any more.

    `light` is a second connection that writes, for what need not survive a machine that loses its power: it waits for
    no disk.
    """

    def __init__(self, connection: aiosqlite.Connection, light: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._light = light
        self._path = path
        self._turn = asyncio.Lock()
        self._readers = Readers(path, _READERS)
        self._report_readers = Readers(path, _REPORT_READERS)
        self._reporting = LocksByKey()
        self.fault = ""
        # Until it is in use, whoever opens it says what is wrong.
        self.in_use = False

    @property
    def failing(self) -> bool:
        return bool(self.fault)

    async def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement, which is a transaction of its own."""
        async with self._turn:
            with self._watched():
                return await self._execute(sql, parameters)

    async def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement that only reads. It waits for no statement that writes, and sees what was committed
        before it."""
        with self._watched():
            async with self._readers.one() as connection:
                return await _rows_of(connection, sql, parameters)

    async def open_readers(self) -> None:
        """Open the connections that read, so that the gateway holds as many files at its start as later."""
        with self._watched():
            await self._readers.open()
            await self._report_readers.open()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Run]:
        """Statements that only read, and see the database as it stands at one moment."""
        with self._watched():
            async with self._readers.snapshot() as connection:
                yield partial(_rows_of, connection)

    @asynccontextmanager
    async def report(self, asker: str) -> AsyncIterator[Run]:
        """A snapshot for statements that may take long. Each asker has one at a time, so that nobody waits for more
        than one report of another. Raises `ReportTooSlow`."""
        try:
            async with self._reporting.lock(asker), asyncio.timeout(_MAX_REPORT_SECONDS):
                with self._watched():
                    async with self._report_readers.snapshot() as connection:
                        yield partial(_rows_of, connection)
        except TimeoutError:
            raise ReportTooSlow from None

    async def close(self) -> None:
        """Close the connections that read. One that writes is closed last, and takes the WAL away."""
        await self._report_readers.close()
        await self._readers.close()
        await self._light.close()
        await self._connection.close()

    async def run_lightly(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """One statement that survives a killed process, though not a machine that loses its power."""
        # In the same turn: who writes at the same time as another is refused by SQLite, or made to wait in its thread.
        async with self._turn:
            with self._watched():
                await self._light.execute_fetchall(sql, parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Run]:
        """Statements that count together or not at all; yields what runs them. Whatever is raised undoes them.

        One at a time: on the one connection a commit would take along another's half.
        """
        async with self._turn:
            with self._watched():
                try:
                    await self._execute("BEGIN IMMEDIATE")
                    yield self._execute
                    await self._connection.commit()
                except BaseException:
                    # A statement whose waiting was cancelled still runs in its thread; this one queues up behind it.
                    await self._connection.rollback()
                    raise

    async def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return await _rows_of(self._connection, sql, parameters)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # the statement's fault, not the file's
        except sqlite3.Error as error:
            if self.in_use and str(error) != self.fault:
                _log.error("the database %s cannot be used: %s", self._path, error)
            self.fault = str(error)
            raise StoreFailing(error) from error

    async def try_again(self) -> None:
        """Find out whether it still fails: only what writes can tell, for a full disk can be read."""
        with suppress(OSError, StoreFailing):
            await asyncio.to_thread(_try_disk, self._path)
            async with self.transaction() as run:
                ((version,),) = await run("PRAGMA user_version")
                await run(f"PRAGMA user_version = {version}")
            _log.warning("the database %s can be used again", self._path)
            self.fault = ""

    @asynccontextmanager
    async def tried_again(self, interval: float = _TRIED_AGAIN_SECONDS) -> AsyncIterator[None]:
        """For the length of a `with`: while it fails, it is tried by itself. Who sees that it fails sends no requests,
        by which it would be found to work again."""
        task = asyncio.create_task(self._try_again(interval))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _try_again(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if self.failing:
                await self.try_again()


@asynccontextmanager
async def open_database(path: Path, scripts: Sequence[str] = SCRIPTS) -> AsyncIterator[Database]:
    """The database for the length of a `with`, made or brought up to date. Raises `StoreUnusable`."""
    try:
        await asyncio.to_thread(_make, path)
        connection = await connect(path)
        light = await connect(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"Cannot use the database {path}: {_reason(error)}. Set STATE_DIR.") from None
    database = Database(connection, light, path)
    try:
        try:
            for setting in _SETTINGS:
                await database.run(setting)
            await _migrate(database, path, scripts)
            for setting in _LIGHT:
                await database.run_lightly(setting)
            await database.open_readers()
        except StoreFailing:
            raise StoreUnusable(
                f"Cannot use the database {path}: {database.fault}. Where it is damaged, restore a backup, move it "
                "away or set another STATE_DIR."
            ) from None
        database.in_use = True
        yield database
    finally:
        await database.close()


async def _rows_of(connection: aiosqlite.Connection, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
    return cast("list[Row]", list(await connection.execute_fetchall(sql, parameters)))


def _make(path: Path) -> None:
    """Before SQLite does: it holds what people said, so it is this user's alone, as the files beside it then are."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(made, 0o600)
    finally:
        os.close(made)


def _try_disk(path: Path) -> None:
    """Whether there is room: SQLite may find some within its files, and none for the next megabyte."""
    trial = path.with_suffix(".trial")
    try:
        trial.write_bytes(bytes(_TRIAL_BYTES))
    finally:
        trial.unlink(missing_ok=True)


async def _migrate(database: Database, path: Path, scripts: Sequence[str]) -> None:
    """Run the scripts that the database has not been through, all or none."""
    async with database.transaction() as run:
        ((version,),) = await run("PRAGMA user_version")
        if version > len(scripts):
            raise StoreUnusable(
                f"A newer claude-gateway made the database {path} (version {version}, this one knows {len(scripts)}): "
                "install that, or set another STATE_DIR."
            )
        for script in scripts[version:]:
            for statement in _statements(script):
                await run(statement)
        await run(f"PRAGMA user_version = {len(scripts)}")


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit first, and end the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
