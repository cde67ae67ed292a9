"""Copies of the database: taken while a gateway works on it, and put back while none does. Keys and the seal are in it,
so each copy is its maker's alone."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from claude_gateway.stores.db import StoreUnusable
from claude_gateway.stores.ledger_journal import ENDINGS
from claude_gateway.stores.schema import SCRIPTS

_BUSY_SECONDS = 30.0
# The files beside a database that belong to it: SQLite's own, and ours.
_BESIDE = ("", "-wal", "-shm", *ENDINGS)


def back_up(database: Path, to: Path) -> None:
    """A whole copy of a database, as it stands at one moment, checked before it has its name.

    Raises `StoreUnusable`; what is at `to` already is left alone.
    """
    with _told(f"Cannot back {database} up to {to}"):
        if not database.is_file():
            raise FileNotFoundError(2, "there is no such database")
        with _made(to) as made, closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as source:
            _copy(source, made)
            os.link(made, to)  # never over a file that is there


def restore(copy: Path, database: Path) -> Path | None:
    """Put a copy in the place of the database; returns where that now is. Nobody may be working on it.

    Raises `StoreUnusable`, for a damaged or newer copy too; then nothing has changed.
    """
    with _told(f"Cannot restore {copy}"):
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as source:
            ((version,),) = source.execute("PRAGMA user_version")
            if version > len(SCRIPTS) or version < 1:
                raise sqlite3.DatabaseError(
                    f"it is of version {version}, this claude-gateway knows 1 to {len(SCRIPTS)}"
                )
            with _made(database) as made:
                _copy(source, made)
                aside = _put_aside(database)
                made.rename(database)
        _flush(database.parent)
        return aside


def _copy(source: sqlite3.Connection, to: Path) -> None:
    with closing(sqlite3.connect(to)) as made:
        source.backup(made)
        # One file, which needs none beside it; the gateway turns its own way of writing on again.
        made.execute("PRAGMA journal_mode = DELETE")
        (found,) = made.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {' '.join(found.split())}")
    _flush(to)


@contextmanager
def _made(beside: Path) -> Iterator[Path]:
    """An empty file of this user's alone, where it is to have its name; gone at the end, unless it has it by then."""
    made = beside.with_name(f".{beside.name}.{os.getpid()}")
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)


def _put_aside(database: Path) -> Path | None:
    if not database.exists():
        return None
    number = 1
    while (aside := database.with_name(f"{database.name}.before-restore-{number}")).exists():
        number += 1
    for ending in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{database}{ending}").rename(f"{aside}{ending}")
    return aside


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{what}: {getattr(error, 'strerror', None) or error}.") from None
