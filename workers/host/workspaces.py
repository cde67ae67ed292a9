"""Workspaces, the directories in which agents work with built-in tools.

A session with built-in tools has one workspace. A job without a session has a temporary workspace. A workspace belongs
to the user as which agents run.

Beside each workspace, the gateway creates a resume directory. It contains the transcript of the conversation that the
CLI records, and the resume index. The resume index tells the gateway how to resume the conversation.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from workers.conversation.resume_index import EMPTY_RESUME_INDEX, ResumeIndex, parse_resume_index
from workers.core.disk_usage import MIN_ENTRY_BYTES, DiskUsage, DiskUsageTracker
from workers.host.directory_names import hash_directory_name
from workers.host.directory_remover import DirectoryRemover
from workers.host.process_dirs import require_private_dir

_TEMPORARY_PREFIX = "t-"
_SESSION_PREFIX = "p-"
_RESUME_DIR_PREFIX = "r-"
_TRANSCRIPT_DIR_NAME = "transcript"
_RESUME_INDEX_FILE_NAME = "resume-index.json"

T = TypeVar("T")

MAX_PATH_DEPTH = 100
_MAX_COUNTED_ENTRIES = 1_000_000
# Numbers of errors that mean that the host has a problem, and not the files that the gateway measures.
_HOST_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})
# Threads that walk through directory trees. They are separate from the default thread pool of the event loop, because a
# walk through a large directory tree takes long.
_walk_executor = ThreadPoolExecutor(2, thread_name_prefix="walk")


def get_transcript_dir(workspace: Path) -> Path:
    """Return the directory in which the CLI records the transcript if an agent works in this workspace."""
    return _get_resume_dir(workspace) / _TRANSCRIPT_DIR_NAME


def _get_resume_dir(workspace: Path) -> Path:
    return workspace.with_name(f"{_RESUME_DIR_PREFIX}{workspace.name}")


class Workspaces:
    """Creates, measures and removes workspaces. Blocking calls run in threads.

    Args:
        base: The directory in which `open` creates the directory for all workspaces.
        uid: The id of the user to whom the workspaces belong; None if they belong to the user of the gateway.

    Attributes:
        disk_usage: The last known disk usage of the workspaces of each key.
    """

    def __init__(self, base: Path, uid: int | None) -> None:
        self._base = base / ".claude-gateway-workspaces"
        self._uid = uid
        self._remover = DirectoryRemover(base)
        self._key_ids: dict[Path, str] = {}
        self.disk_usage = DiskUsageTracker()

    async def open(self) -> None:
        """Create the directory for all workspaces, and start to remove the temporary workspaces that already exist.

        Such workspaces exist if a previous gateway process has not removed them.

        Raises:
            UnsafeDirectory: Another user can write to the directory.
            OSError: The method cannot create the directory.
        """
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Stop the removal of directories. The next gateway process removes the remaining directories."""
        await asyncio.to_thread(self._remover.close)

    async def wait_removed(self) -> None:
        """Wait until the background thread has deleted the files in all removed workspaces."""
        await asyncio.to_thread(self._remover.wait)

    async def create_temporary(self) -> Path:
        """Create an empty temporary workspace."""
        return await asyncio.to_thread(self._create_temporary)

    def get_session_path(self, key_id: str, session_id: str) -> Path:
        """Return the path of a session's workspace. The workspace need not exist."""
        return self._base / f"{_SESSION_PREFIX}{hash_directory_name(key_id, session_id)}"

    async def create_for_session(self, key_id: str, session_id: str) -> Path:
        """Return the workspace of a session, and create it if it does not exist."""
        workspace = self.get_session_path(key_id, session_id)
        self._key_ids[workspace] = key_id
        return await asyncio.to_thread(self._create_for_session, workspace)

    async def measure_disk_usage(self, key_id: str, session_id: str) -> DiskUsage:
        """Measure the disk usage of a session's workspace and transcript, and store it in `disk_usage`."""
        workspace = self.get_session_path(key_id, session_id)
        self._key_ids[workspace] = key_id
        usage = await measure_workspace(workspace)
        self.disk_usage.update(key_id, workspace, usage)
        return usage

    async def get_disk_usage(self, key_id: str, session_id: str) -> DiskUsage:
        """Return the last known disk usage of a session's workspace. If it is not known, measure it first."""
        known = self.disk_usage.get(key_id, self.get_session_path(key_id, session_id))
        return await self.measure_disk_usage(key_id, session_id) if known is None else known

    async def measure_unknown(self, session_keys: Collection[tuple[str, str]]) -> None:
        """Measure the disk usage of those of the given sessions whose disk usage is not known.

        A session is a pair of key id and session id.
        """
        for key_id, session_id in session_keys:
            await self.get_disk_usage(key_id, session_id)

    async def promote(self, temporary: Path, key_id: str, session_id: str) -> Path:
        """Turn a temporary workspace into the workspace of a session, and return the new path of the workspace.

        If the session already has a workspace, the method moves the files in that workspace to the new workspace. If a
        process already works in the temporary workspace, the process continues to work there.
        """
        workspace = self.get_session_path(key_id, session_id)
        self._key_ids[workspace] = key_id
        return await asyncio.to_thread(self._promote, temporary, workspace)

    async def remove(self, workspace: Path) -> None:
        """Remove a workspace and its resume directory. When this method returns, the paths of both are free."""
        await asyncio.to_thread(self._remove, workspace)

    async def read_resume_index(self, key_id: str, session_id: str) -> ResumeIndex:
        """Read the resume index of a session. If no process can resume the conversation, the index is empty."""
        return await asyncio.to_thread(_read_resume_index, self.get_session_path(key_id, session_id))

    async def write_resume_index(self, workspace: Path, resume_index: ResumeIndex) -> None:
        """Write the resume index of a workspace to the disk."""
        await asyncio.to_thread(_write_resume_index, workspace, resume_index)

    async def reset_transcript(self, workspace: Path) -> None:
        """Remove the transcript and the resume index of a workspace."""
        await asyncio.to_thread(self._reset_transcript, workspace)

    async def remove_all_except(self, keep: Collection[Path]) -> None:
        """Remove the workspaces of all sessions, except those in `keep`."""
        await asyncio.to_thread(self._remove_all_except, frozenset(keep))

    def _open(self) -> None:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_private_dir(self._base)
        for workspace in self._find_workspaces(_TEMPORARY_PREFIX):
            self._remove(workspace)
        self._remover.open()

    def _create_temporary(self) -> Path:
        workspace = self._chown(Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=self._base)))
        self._create_resume_dir(workspace)
        return workspace

    def _create_for_session(self, workspace: Path) -> Path:
        with contextlib.suppress(FileExistsError):
            workspace.mkdir(mode=0o700)
            self._chown(workspace)
        self._create_resume_dir(workspace)
        return workspace

    def _create_resume_dir(self, workspace: Path) -> None:
        with contextlib.suppress(FileExistsError):
            get_transcript_dir(workspace).parent.mkdir(mode=0o700)
            get_transcript_dir(workspace).mkdir(mode=0o700)
            self._chown(get_transcript_dir(workspace))

    def _reset_transcript(self, workspace: Path) -> None:
        self._remover.remove(_get_resume_dir(workspace))
        self._create_resume_dir(workspace)

    def _chown(self, directory: Path) -> Path:
        if self._uid is not None:
            os.chown(directory, self._uid, self._uid)
        return directory

    def _remove_all_except(self, keep: frozenset[Path]) -> None:
        for workspace in self._find_workspaces(_SESSION_PREFIX) - keep:
            self._remove(workspace)

    def _remove(self, workspace: Path) -> None:
        key_id = self._key_ids.pop(workspace, None)
        usage = self.disk_usage.remove(key_id, workspace) if key_id is not None else None
        self._remover.remove(_get_resume_dir(workspace))
        if key_id is None or usage is None:
            self._remover.remove(workspace)
            return
        # Until the files are deleted, count their disk usage under another path.
        removed = workspace.with_name(f"{workspace.name}-{secrets.token_hex(8)}")
        self.disk_usage.update(key_id, removed, usage)
        self._remover.remove(workspace, partial(self.disk_usage.remove, key_id, removed))

    def _promote(self, temporary: Path, target: Path) -> Path:
        if target.is_dir():
            for entry in target.iterdir():
                entry.replace(temporary / entry.name)
            target.rmdir()
        self._remover.remove(_get_resume_dir(target))
        _get_resume_dir(temporary).rename(_get_resume_dir(target))
        return temporary.rename(target)

    def _find_workspaces(self, prefix: str) -> set[Path]:
        """Return the workspaces whose directory or resume directory exists and whose name has this prefix."""
        resume_dirs = self._base.glob(f"{_RESUME_DIR_PREFIX}{prefix}*")
        return {
            *self._base.glob(f"{prefix}*"),
            *(path.with_name(path.name.removeprefix(_RESUME_DIR_PREFIX)) for path in resume_dirs),
        }


async def measure_tree(directory: Path) -> DiskUsage:
    """Measure the disk usage of a directory tree.

    The function does not follow links, and treats directories that it cannot read as empty. If a tree is deeper than
    100 levels, the paths in the tree may be too long to open. For such a tree, and for a tree with more than a million
    entries, the result is `sys.maxsize` entries.

    Raises:
        OSError: The host cannot read the tree, for example because too many files are open.
    """
    return await run_in_walk_thread(partial(_measure_tree, directory))


async def run_in_walk_thread(walk: Callable[[], T]) -> T:
    """Run a function that walks through a directory tree in a separate thread, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_walk_executor, walk)


async def measure_workspace(workspace: Path) -> DiskUsage:
    """Measure the disk usage of a workspace and its transcript together."""
    return await measure_tree(workspace) + await measure_tree(get_transcript_dir(workspace))


def _measure_tree(directory: Path) -> DiskUsage:
    size_bytes = entry_count = 0
    pending = [(str(directory), 0)]
    while pending:
        path, depth = pending.pop()
        if depth > MAX_PATH_DEPTH or entry_count > _MAX_COUNTED_ENTRIES:
            return DiskUsage(size_bytes, sys.maxsize)
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    entry_count += 1
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            pending.append((entry.path, depth + 1))
                        # Also count empty files and directories, even if the file system reports no blocks for them.
                        size_bytes += max(MIN_ENTRY_BYTES, entry.stat(follow_symlinks=False).st_blocks * 512)
        except OSError as error:
            if error.errno in _HOST_ERRNOS:
                raise
    return DiskUsage(size_bytes, entry_count)


def _read_resume_index(workspace: Path) -> ResumeIndex:
    try:
        return parse_resume_index((_get_resume_dir(workspace) / _RESUME_INDEX_FILE_NAME).read_bytes())
    except OSError:
        return EMPTY_RESUME_INDEX


def _write_resume_index(workspace: Path, resume_index: ResumeIndex) -> None:
    new_file = _get_resume_dir(workspace) / f"{_RESUME_INDEX_FILE_NAME}.new"
    new_file.write_bytes(resume_index.to_json())
    new_file.replace(new_file.with_name(_RESUME_INDEX_FILE_NAME))
