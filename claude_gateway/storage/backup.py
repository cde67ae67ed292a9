"""Back up and restore the gateway's database.

The operator may make a backup while a gateway uses the database, but may restore a backup only while no gateway uses
the database. The database contains API keys and the signing key, so only the user who makes a backup can read the
backup.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from claude_gateway.storage.database import StorageUnavailable
from claude_gateway.storage.migrations import MIGRATIONS

_BUSY_TIMEOUT_SECONDS = 30.0
# File name suffixes of the two log files that contain the usage records that are not in the database yet
# (claude_gateway/usage/write_ahead_log.py).
USAGE_LOG_SUFFIXES = ("-usage-wal-1", "-usage-wal-2")
# File name suffixes of all files that belong to a database. The database file itself has no suffix. SQLite and the
# gateway create the other files beside it.
_FILE_SUFFIXES = ("", "-wal", "-shm", *USAGE_LOG_SUFFIXES)


def back_up_database(database: Path, target: Path) -> None:
    """Copy a consistent snapshot of a database to a new file. Check the copy before it gets the name `target`.

    Args:
        database: Path of the database file.
        target: Path of the copy.

    Raises:
        StorageUnavailable: The function cannot make the copy, or `target` exists. It does not change an existing file.
    """
    with _map_errors(f"Cannot back {database} up to {target}"):
        if not database.is_file():
            raise FileNotFoundError(2, "the database does not exist")
        with (
            _temporary_file(target) as temporary,
            closing(sqlite3.connect(database, timeout=_BUSY_TIMEOUT_SECONDS)) as source,
        ):
            _copy_database(source, temporary)
            os.link(temporary, target)  # raises `FileExistsError` if `target` exists


def restore_database(backup: Path, database: Path) -> Path | None:
    """Replace the database with a backup. No process may be using the database.

    Args:
        backup: Path of the backup file.
        database: Path of the database file.

    Returns:
        The path to which the function has moved the previous database; None if there was no previous database.

    Raises:
        StorageUnavailable: The backup is damaged, the backup is newer than this gateway, or a file cannot be written.
            The function does not change the database in these cases.
    """
    with _map_errors(f"Cannot restore {backup}"):
        with closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as source:
            ((version,),) = source.execute("PRAGMA user_version")
            if version > len(MIGRATIONS) or version < 1:
                raise sqlite3.DatabaseError(
                    f"it has version {version}, this claude-gateway supports versions 1 to {len(MIGRATIONS)}"
                )
            with _temporary_file(database) as temporary:
                _copy_database(source, temporary)
                previous = _move_aside(database)
                temporary.rename(database)
        _sync(database.parent)
        return previous


def _copy_database(source: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        # In this journal mode, the copy consists of a single file. When the gateway opens the copy as its database, it
        # switches to WAL mode again.
        copy.execute("PRAGMA journal_mode = DELETE")
        (result,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {' '.join(result.split())}")
    _sync(target)


@contextmanager
def _temporary_file(target: Path) -> Iterator[Path]:
    """Create a file beside `target` that only the current user can read, for use in a `with` block.

    At the end of the block, the function deletes the file, unless the block has renamed it.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _move_aside(database: Path) -> Path | None:
    if not database.exists():
        return None
    number = 1
    while (destination := database.with_name(f"{database.name}.before-restore-{number}")).exists():
        number += 1
    for suffix in _FILE_SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{database}{suffix}").rename(f"{destination}{suffix}")
    return destination


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _map_errors(action: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageUnavailable(f"{action}: {getattr(error, 'strerror', None) or error}.") from None
