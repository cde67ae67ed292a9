"""Functions that inspect the machine for the `doctor` command. Tests replace them through `HostProbe`."""

import contextlib
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.doctor.damaged_rows import DamageReport, find_damaged_rows
from workers.core.memory_state import MemoryState
from workers.host.memory_state import read_memory_state


def free_bytes(path: Path) -> int:
    """Return the free bytes on the disk that contains a path. The path does not need to exist."""
    return shutil.disk_usage(nearest_existing_path(path)).free


def nearest_existing_path(path: Path) -> Path:
    """Return the path, or its first parent that exists."""
    return next(candidate for candidate in (path, *path.parents) if _is_visible(candidate))


def _is_visible(path: Path) -> bool:
    """Return whether a path exists and this user can see it."""
    try:
        return path.exists()
    except OSError:
        return False


def max_open_files() -> int:
    """Return the hard limit on the number of files that one process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def inspect_database(path: Path) -> tuple[int | None, str]:
    """Read the schema version of a database and check the integrity of the database, without writing anything.

    Returns:
        Two values. The first is the version; None if there is no readable database. The second is the problem; "" if
        the database is intact.
    """
    try:
        if not path.exists():
            return None, ""
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        ) as connection:
            ((schema_version,),) = connection.execute("PRAGMA user_version").fetchall()
            ((check_result,), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except (OSError, sqlite3.Error) as error:
        return None, str(error)
    return int(schema_version), "" if check_result == "ok" else str(check_result).splitlines()[0]


def scan_stored_rows(path: Path) -> DamageReport | None:
    """Find the unreadable rows of a database. Return None if there is no readable database."""
    try:
        return find_damaged_rows(path) if path.exists() else None
    except (OSError, sqlite3.Error):
        return None


def find_directory_problem(path: Path) -> str:
    """Return the reason why a gateway of the current user could not use a state directory; "" if it could."""
    try:
        return _directory_problem(path)
    except OSError as error:
        return error.strerror or str(error)


def _directory_problem(path: Path) -> str:
    if not path.exists():
        parent = nearest_existing_path(path)
        can_create = parent.is_dir() and os.access(parent, os.W_OK)
        return "" if can_create else f"it does not exist, and {parent} is not writable"
    status = path.stat()
    if not path.is_dir():
        return "it is not a directory"
    if status.st_uid != os.geteuid():
        return f"it belongs to the user with the id {status.st_uid}, but this user has the id {os.geteuid()}"
    if not os.access(path, os.W_OK | os.X_OK):
        return "it is not writable"
    if status.st_mode & 0o022:
        return f"other users may write to it (mode {status.st_mode & 0o777:o})"
    return ""


def newest_mtime(*paths: Path) -> float:
    """Return the modification time of the newest file; 0 if none of the files exists."""
    return max((path.stat().st_mtime for path in paths if _is_visible(path)), default=0.0)


@dataclass(frozen=True, slots=True)
class HostProbe:
    """Functions that inspect the machine. `free_bytes` may block, so the `doctor` command calls it in a thread."""

    free_bytes: Callable[[Path], int] = free_bytes
    read_memory: Callable[[], Awaitable[MemoryState]] = read_memory_state
    max_open_files: Callable[[], int] = max_open_files
    now: Callable[[], float] = time.time
