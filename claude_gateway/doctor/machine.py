"""What the doctor sees of the machine: one object of functions, the seam at which a test puts another machine."""

import contextlib
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.stores.damaged_rows import Damage, find_damage

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def free_bytes(path: Path) -> int:
    """Of the disk that the path is on, or will be."""
    return shutil.disk_usage(nearest(path)).free


def nearest(path: Path) -> Path:
    """The path, or the first above it that is there."""
    return next(each for each in (path, *path.parents) if _is_seen(each))


def _is_seen(path: Path) -> bool:
    """False also where this user may not look."""
    try:
        return path.exists()
    except OSError:
        return False


def memory_mib(*, running: bool) -> float:
    """What workers can have: what is available now, or all of it where they run already; never more than the limit of
    the control group."""
    found = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    kib = int(found["MemTotal" if running else "MemAvailable"].split()[0])
    limit = float("inf")
    with contextlib.suppress(OSError, ValueError):
        limit = int(_CGROUP_LIMIT.read_text()) / 2**20
    return min(kib / 1024, limit)


def most_open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def examine_database(path: Path) -> tuple[int | None, str]:
    """Its version, None where there is none, and what is wrong with it; it is only read."""
    try:
        if not path.exists():
            return None, ""
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as opened:
            ((found,),) = opened.execute("PRAGMA user_version").fetchall()
            ((said,), *_) = opened.execute("PRAGMA quick_check(1)").fetchall()
    except (OSError, sqlite3.Error) as error:
        return None, str(error)
    return int(found), "" if said == "ok" else str(said).splitlines()[0]


def stored_damage(path: Path) -> Damage | None:
    """The rows of the database that cannot be read; None where it could not be looked at."""
    try:
        return find_damage(path) if path.exists() else None
    except (OSError, sqlite3.Error):
        return None


def directory_complaint(path: Path) -> str:
    """Why a gateway of this user could not keep its state there, "" where it could."""
    try:
        return _complaint(path)
    except OSError as error:
        return error.strerror or str(error)


def _complaint(path: Path) -> str:
    if not path.exists():
        above = nearest(path)
        return "" if above.is_dir() and os.access(above, os.W_OK) else f"it is not there, and {above} is not writable"
    found = path.stat()
    if not path.is_dir():
        return "it is no directory"
    if found.st_uid != os.geteuid():
        return f"it is the user's with the id {found.st_uid}, and this is {os.geteuid()}"
    if not os.access(path, os.W_OK | os.X_OK):
        return "it is not writable"
    if found.st_mode & 0o022:
        return f"others may write there (mode {found.st_mode & 0o777:o})"
    return ""


def newest(*paths: Path) -> float:
    """When the newest of the files was written; 0 where there is none."""
    return max((path.stat().st_mtime for path in paths if _is_seen(path)), default=0.0)


@dataclass(frozen=True, slots=True)
class Machine:
    """Each may block, and is called in a thread."""

    free_bytes: Callable[[Path], int] = free_bytes
    memory_mib: Callable[..., float] = memory_mib
    most_open_files: Callable[[], int] = most_open_files
    now: Callable[[], float] = time.time
