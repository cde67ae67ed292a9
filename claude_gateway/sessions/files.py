"""The files of a session's directory, in which a stranger's program has worked: no link is followed, and nothing is
touched but regular files of one name.

Each step is taken from the directory before it (`openat`), so that nothing can be put in the way between a check and
a use.
"""

import asyncio
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.errors import ApiError, machine_failing
from claude_gateway.prompt.conversation import bad
from workers.disk_usage import NOTHING, DiskBounds, Weight, weight_of_directories, weight_of_file
from workers.places import MOST_DEPTH, Places, walked

_MOST_LISTED = 1_000
_LONGEST_PATH = 1_024
_PIECE = 256 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Not waiting for a writer, should it be a pipe.
# A link where none is followed, a directory where a file is wanted, a directory that is not empty, a name that the file
# system cannot have. Whatever else goes wrong is no fault of who asked.
_FAULTS_OF_A_PATH = frozenset(
    {
        errno.ELOOP,
        errno.EISDIR,
        errno.ENOTEMPTY,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.EILSEQ,
        errno.ENXIO,
    }
)
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class File:
    """`modified` in seconds of the epoch."""

    path: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Listing:
    files: list[File]
    truncated: bool


@dataclass(frozen=True, slots=True)
class OpenFile:
    """Whoever has it closes the descriptor. Never more is read than `size`, should it grow meanwhile."""

    descriptor: int
    size: int

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        left = self.size - os.lseek(self.descriptor, 0, os.SEEK_CUR)
        return os.read(self.descriptor, min(left, _PIECE)) if left > 0 else b""


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """`bounds`: what a directory may hold, and those of a key together."""

    places: Places
    bounds: DiskBounds

    async def directory(self, owner: str, session: str, *, make: bool) -> "Directory":
        """Raises `ApiError` 503 and 507 where the disk is at fault, as each method of it does."""
        if make:
            with _machine_at_fault():
                await self.places.make_kept(owner, session)
        return Directory(self.places, owner, session, self.bounds)


class Directory:
    """Paths are relative, with slashes. Raises `ApiError`: 400 for what is no such path, 404 for what is no file of
    the session's own, 413 where there is no room."""

    def __init__(self, places: Places, owner: str, session: str, bounds: DiskBounds) -> None:
        self._places = places
        self._owner = owner
        self._session = session
        self._root = places.kept(owner, session)
        self._bounds = bounds

    async def listed(self) -> Listing:
        return await walked(self._listed)

    async def open(self, path: str) -> OpenFile:
        return await asyncio.to_thread(self._open, _parts(path))

    async def write(self, path: str, content: bytes) -> bool:
        """True where there was no such file."""
        parts = _parts(path)
        if len(parts) > MOST_DEPTH:
            raise _full(f"A path has at most {MOST_DEPTH} parts.")
        wanted = weight_of_file(len(content)) + weight_of_directories(await asyncio.to_thread(self._missing, parts))
        await self._require_room(wanted)
        # Counted before it is there: several may come at once.
        self._places.usage.add(self._owner, self._root, wanted)
        try:
            replaced = await asyncio.to_thread(self._write, parts, content)
        except BaseException:
            self._places.usage.forget(self._owner, self._root)  # and is looked at the next time
            raise
        if replaced is not None:
            self._places.usage.add(self._owner, self._root, NOTHING - replaced)
        return replaced is None

    async def delete(self, path: str) -> None:
        removed = await asyncio.to_thread(self._delete, _parts(path))
        self._places.usage.add(self._owner, self._root, NOTHING - removed)

    async def _require_room(self, wanted: Weight) -> None:
        """Raises `ApiError` 413."""
        here = await self._places.weight(self._owner, self._session)
        together = self._places.usage.of(self._owner)
        match self._bounds.exceeded_by(here + wanted, together + wanted):
            case "":
                return
            case "SESSION_DISK_MB":
                raise _full("The directory of this session would hold more than SESSION_DISK_MB allows.")
            case _:
                raise _full("The directories of this key's sessions would hold more than SESSIONS_DISK_MB allows.")

    def _listed(self) -> Listing:
        found: list[File] = []
        if not self._root.is_dir():
            return Listing(found, truncated=False)
        try:
            for file in _walk(self._root):
                if len(found) == _MOST_LISTED:
                    return Listing(found, truncated=True)
                found.append(file)
        except RecursionError:
            return Listing(found, truncated=True)
        return Listing(sorted(found, key=lambda file: file.path), truncated=False)

    def _open(self, parts: list[str]) -> OpenFile:
        with self._parent(parts) as parent:
            descriptor = os.open(parts[-1], _OLD_FILE, dir_fd=parent)
            found = os.fstat(descriptor)
            if not _is_own(found):
                os.close(descriptor)
                raise _no_file()
            return OpenFile(descriptor, found.st_size)

    def _missing(self, parts: list[str]) -> int:
        """How many directories of this path are yet to be made."""
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, _DIRECTORY))
            for part in parts[:-1]:
                opened.append(os.open(part, _DIRECTORY, dir_fd=opened[-1]))
        except OSError:
            pass  # what cannot be is told when it is written
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return len(parts) - max(1, len(opened))

    def _write(self, parts: list[str], content: bytes) -> Weight | None:
        """What it took the place of; None where there was no such file."""
        with self._parent(parts, make=True) as parent:
            name = f".{secrets.token_hex(8)}.part"
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    _give(file.fileno(), parent)
                replaced = _weight(parts[-1], parent)
                os.replace(name, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=parent)
                raise
            return replaced

    def _delete(self, parts: list[str]) -> Weight:
        with self._parent(parts) as parent:
            found = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                os.rmdir(parts[-1], dir_fd=parent)
            else:
                os.unlink(parts[-1], dir_fd=parent)
            return weight_of_file(found.st_blocks * 512)

    @contextmanager
    def _parent(self, parts: list[str], *, make: bool = False) -> Iterator[int]:
        """A descriptor of the directory that the last part stands in."""
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, _DIRECTORY))
            for part in parts[:-1]:
                if make:
                    _make_directory(part, opened[-1])
                opened.append(os.open(part, _DIRECTORY, dir_fd=opened[-1]))
            yield opened[-1]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise _no_file() from None
        except OSError as error:
            if error.errno in _FAULTS_OF_A_PATH:
                raise bad("path", (error.strerror or "cannot be").lower()) from None
            raise machine_failing(error) from error
        finally:
            for descriptor in opened:
                os.close(descriptor)


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if len(path.encode("utf-8", "surrogatepass")) > _LONGEST_PATH or "\0" in path:
        raise bad("path", f"must be of at most {_LONGEST_PATH} bytes")
    if any(part in ("", ".", "..") for part in parts):
        raise bad("path", "must be relative, without empty parts and dots")
    return parts


def _walk(root: Path) -> Iterator[File]:
    for base, _, names, descriptor in os.fwalk(root, follow_symlinks=False):
        for name in names:
            with suppress(OSError):
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if _is_own(found):
                    path = os.path.relpath(os.path.join(base, name), root)  # noqa: PTH118 - names may be anything
                    yield File(path.encode("utf-8", "replace").decode(), found.st_size, found.st_mtime)


def _is_own(found: os.stat_result) -> bool:
    """A second name of a file may stand anywhere, and be another's file."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _make_directory(name: str, parent: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            _give(descriptor, parent)
        finally:
            os.close(descriptor)


def _give(descriptor: int, parent: int) -> None:
    """To whom the directory belongs: agents run as another user than a gateway of root's."""
    owner = os.fstat(parent)
    if owner.st_uid != os.geteuid():
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _weight(name: str, parent: int) -> Weight | None:
    """None where there is none."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return weight_of_file(found.st_blocks * 512)


@contextmanager
def _machine_at_fault() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise machine_failing(error) from error


def _full(message: str) -> ApiError:
    return ApiError(413, "request_too_large", message, code="session_disk_full")


def _no_file() -> ApiError:
    return ApiError(404, "not_found_error", "The session has no such file.", code="file_not_found")
