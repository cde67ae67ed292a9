"""Lists, reads, writes and deletes files in the workspace of a session for clients.

Untrusted programs have worked in the workspace. Therefore the gateway follows no symbolic links, and reads only regular
files without further hard links. To open the directories on a path, it opens each directory relative to the directory
above (`openat`), so that no program can replace a directory between the check and the use.
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

from claude_gateway.core.errors import ApiError, bad_request, host_failure
from workers.core.disk_usage import NO_DISK_USAGE, DiskLimits, DiskUsage, estimate_directory_usage, estimate_file_usage
from workers.core.errors import Limit
from workers.host.workspaces import MAX_PATH_DEPTH, Workspaces, run_in_walk_thread

_MAX_LISTED_FILES = 1_000
_MAX_PATH_BYTES = 1_024
_READ_CHUNK_BYTES = 256 * 1024
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Error numbers for invalid paths in a request. Such a path leads to a symbolic link, to a directory instead of a file,
# or to a directory that is not empty, or the file system does not support the name. All other error numbers mean that
# the host has a problem.
_INVALID_PATH_ERRNOS = frozenset(
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
# If the file is a pipe, O_NONBLOCK prevents the gateway from waiting for a process that writes to the pipe.
_EXISTING_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class WorkspaceFile:
    """Description of a file in a workspace. `modified_at` is in epoch seconds."""

    path: str
    size_bytes: int
    modified_at: float


@dataclass(frozen=True, slots=True)
class FileListing:
    """List of the files in a workspace.

    `is_truncated` is True if the workspace has more files than a list may contain.
    """

    files: list[WorkspaceFile]
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class OpenWorkspaceFile:
    """A file that the gateway has opened to send it to a client.

    The client receives only as many bytes as the file had when the gateway opened it. The calling code must close the
    descriptor.
    """

    descriptor: int
    size_bytes: int

    async def read(self) -> bytes:
        """Read the next chunk. Return b"" at the end of the file."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        remaining_bytes = self.size_bytes - os.lseek(self.descriptor, 0, os.SEEK_CUR)
        return os.read(self.descriptor, min(remaining_bytes, _READ_CHUNK_BYTES)) if remaining_bytes > 0 else b""


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """Opens the workspace directories of sessions, so that clients can read and change the files.

    Attributes:
        workspaces: Workspaces of all sessions.
        disk_limits: Limits on the disk usage of one workspace, and of all workspaces of a key.
    """

    workspaces: Workspaces
    disk_limits: DiskLimits

    async def open_directory(self, key_id: str, session_id: str, *, create: bool) -> "WorkspaceDirectory":
        """Return the workspace directory of a session. If `create` is True, create a missing directory.

        Raises:
            ApiError: 503 or 507 if the disk fails or is full. The methods of the returned directory also raise these
                errors.
        """
        if create:
            with _map_os_errors():
                await self.workspaces.create_for_session(key_id, session_id)
        return WorkspaceDirectory(self.workspaces, key_id, session_id, self.disk_limits)


class WorkspaceDirectory:
    """The workspace directory of a session.

    All paths are relative to this directory, with slashes between the names. All methods raise `ApiError` with status
    400 if a path is invalid, 404 if the file does not exist in the workspace, and 413 if the file would exceed the disk
    limits.
    """

    def __init__(self, workspaces: Workspaces, key_id: str, session_id: str, disk_limits: DiskLimits) -> None:
        self._workspaces = workspaces
        self._key_id = key_id
        self._session_id = session_id
        self._root = workspaces.get_session_path(key_id, session_id)
        self._disk_limits = disk_limits

    async def list_files(self) -> FileListing:
        """List the regular files in the workspace and all its subdirectories."""
        return await run_in_walk_thread(self._list_files)

    async def open(self, path: str) -> OpenWorkspaceFile:
        """Open a file for reading."""
        return await asyncio.to_thread(self._open, _split_path(path))

    async def write(self, path: str, content: bytes) -> bool:
        """Create or replace a file. Return True if the file is new."""
        parts = _split_path(path)
        if len(parts) > MAX_PATH_DEPTH:
            raise _disk_full(f"A path may have at most {MAX_PATH_DEPTH} parts.")
        new_usage = estimate_file_usage(len(content)) + estimate_directory_usage(
            await asyncio.to_thread(self._count_missing_directories, parts)
        )
        await self._require_disk_space(new_usage)
        # Add the disk usage before writing the file, because several requests may write at the same time.
        self._workspaces.disk_usage.add(self._key_id, self._root, new_usage)
        try:
            replaced_usage = await asyncio.to_thread(self._write, parts, content)
        except BaseException:
            self._workspaces.disk_usage.remove(self._key_id, self._root)  # the next request measures the usage again
            raise
        if replaced_usage is not None:
            self._workspaces.disk_usage.add(self._key_id, self._root, NO_DISK_USAGE - replaced_usage)
        return replaced_usage is None

    async def delete(self, path: str) -> None:
        """Delete a file or an empty directory."""
        removed_usage = await asyncio.to_thread(self._delete, _split_path(path))
        self._workspaces.disk_usage.add(self._key_id, self._root, NO_DISK_USAGE - removed_usage)

    async def _require_disk_space(self, additional_usage: DiskUsage) -> None:
        """Check that the disk limits allow this additional disk usage in the workspace.

        Raises:
            ApiError: 413 if the additional disk usage would exceed a disk limit.
        """
        workspace_usage = await self._workspaces.get_disk_usage(self._key_id, self._session_id)
        key_usage = self._workspaces.disk_usage.get_total(self._key_id)
        match self._disk_limits.find_exceeded(workspace_usage + additional_usage, key_usage + additional_usage):
            case None:
                return
            case Limit.SESSION_DISK:
                raise _disk_full("The workspace of this session would exceed MAX_SESSION_DISK_MIB. Delete files first.")
            case Limit.KEY_DISK:
                raise _disk_full(
                    "The workspaces of this key would exceed MAX_SESSION_DISK_PER_KEY_MIB. "
                    "Delete files or sessions first."
                )

    def _list_files(self) -> FileListing:
        files: list[WorkspaceFile] = []
        if not self._root.is_dir():
            return FileListing(files, is_truncated=False)
        try:
            for file in _walk_files(self._root):
                if len(files) == _MAX_LISTED_FILES:
                    return FileListing(files, is_truncated=True)
                files.append(file)
        except RecursionError:
            return FileListing(files, is_truncated=True)
        return FileListing(sorted(files, key=lambda file: file.path), is_truncated=False)

    def _open(self, parts: list[str]) -> OpenWorkspaceFile:
        with self._open_parent(parts) as parent:
            descriptor = os.open(parts[-1], _EXISTING_FILE_FLAGS, dir_fd=parent)
            file_stat = os.fstat(descriptor)
            if not _is_plain_file(file_stat):
                os.close(descriptor)
                raise _file_not_found()
            return OpenWorkspaceFile(descriptor, file_stat.st_size)

    def _count_missing_directories(self, parts: list[str]) -> int:
        """Return how many directories on this path do not exist yet."""
        descriptors: list[int] = []
        try:
            descriptors.append(os.open(self._root, _DIRECTORY_FLAGS))
            for part in parts[:-1]:
                descriptors.append(os.open(part, _DIRECTORY_FLAGS, dir_fd=descriptors[-1]))
        except OSError:
            pass  # the attempt to write the file will report the error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return len(parts) - max(1, len(descriptors))

    def _write(self, parts: list[str], content: bytes) -> DiskUsage | None:
        """Write a file. Return the disk usage of the file that it replaced, or None if the file is new."""
        with self._open_parent(parts, create=True) as parent:
            name = f".{secrets.token_hex(8)}.part"
            descriptor = os.open(name, _NEW_FILE_FLAGS, 0o600, dir_fd=parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    _chown_like_parent(file.fileno(), parent)
                replaced_usage = _file_disk_usage(parts[-1], parent)
                os.replace(name, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=parent)
                raise
            return replaced_usage

    def _delete(self, parts: list[str]) -> DiskUsage:
        with self._open_parent(parts) as parent:
            file_stat = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(file_stat.st_mode):
                os.rmdir(parts[-1], dir_fd=parent)
            else:
                os.unlink(parts[-1], dir_fd=parent)
            return estimate_file_usage(file_stat.st_blocks * 512)

    @contextmanager
    def _open_parent(self, parts: list[str], *, create: bool = False) -> Iterator[int]:
        """Open the directory that contains the file at the end of a path, and yield its descriptor.

        Args:
            parts: The names of the directories on the path, and the name of the file.
            create: Whether to create missing directories.
        """
        descriptors: list[int] = []
        try:
            descriptors.append(os.open(self._root, _DIRECTORY_FLAGS))
            for part in parts[:-1]:
                if create:
                    _make_directory(part, descriptors[-1])
                descriptors.append(os.open(part, _DIRECTORY_FLAGS, dir_fd=descriptors[-1]))
            yield descriptors[-1]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise _file_not_found() from None
        except OSError as error:
            if error.errno in _INVALID_PATH_ERRNOS:
                raise bad_request("path", (error.strerror or "is invalid").lower()) from None
            raise host_failure(error) from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _split_path(path: str) -> list[str]:
    parts = path.split("/")
    if len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES or "\0" in path:
        raise bad_request("path", f"must have at most {_MAX_PATH_BYTES} bytes and no NUL byte")
    if any(part in ("", ".", "..") for part in parts):
        raise bad_request("path", "must be relative, and no part may be empty, '.' or '..'")
    return parts


def _walk_files(root: Path) -> Iterator[WorkspaceFile]:
    for base, _, names, descriptor in os.fwalk(root, follow_symlinks=False):
        for name in names:
            with suppress(OSError):
                file_stat = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if _is_plain_file(file_stat):
                    path = os.path.relpath(os.path.join(base, name), root)  # noqa: PTH118 - a name may contain any bytes
                    yield WorkspaceFile(path.encode("utf-8", "replace").decode(), file_stat.st_size, file_stat.st_mtime)


def _is_plain_file(file_stat: os.stat_result) -> bool:
    """Return whether a file is a regular file without further hard links.

    A second hard link could mean that the file is also a file outside the workspace.
    """
    return stat.S_ISREG(file_stat.st_mode) and file_stat.st_nlink == 1


def _make_directory(name: str, parent: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        try:
            _chown_like_parent(descriptor, parent)
        finally:
            os.close(descriptor)


def _chown_like_parent(descriptor: int, parent: int) -> None:
    """Set the user of a file to the user of its directory, so that agents can use the file.

    If the gateway runs as root, the agents run as another user.
    """
    parent_stat = os.fstat(parent)
    if parent_stat.st_uid != os.geteuid():
        os.fchown(descriptor, parent_stat.st_uid, parent_stat.st_gid)


def _file_disk_usage(name: str, parent: int) -> DiskUsage | None:
    """Return the disk usage of a file, or None if the file does not exist."""
    try:
        file_stat = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return estimate_file_usage(file_stat.st_blocks * 512)


@contextmanager
def _map_os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise host_failure(error) from error


def _disk_full(message: str) -> ApiError:
    return ApiError(413, "request_too_large", message, code="session_disk_limit_exceeded")


def _file_not_found() -> ApiError:
    return ApiError(404, "not_found_error", "The session has no such file.", code="file_not_found")
