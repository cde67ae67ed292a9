"""Files of a session: limits of size, entries and depth, totals of a key, and disk failures."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.sessions.workspace_files import SessionFiles, WorkspaceDirectory
from workers.core.disk_usage import DiskLimits, DiskUsage
from workers.host.workspaces import MAX_PATH_DEPTH, Workspaces

KIB = 1_024
LARGE_LIMITS = DiskLimits(DiskUsage(10**9, 10**6), DiskUsage(10**9, 10**6))


async def open_workspace(base: Path, limits: DiskLimits, session: str = "s", key_id: str = "ann") -> WorkspaceDirectory:
    return await SessionFiles(await open_workspaces(base), limits).open_directory(key_id, session, create=True)


async def open_workspaces(base: Path) -> Workspaces:
    workspaces = Workspaces(base, None)
    await workspaces.open()
    return workspaces


async def get_rejection(directory: WorkspaceDirectory, path: str = "x", content: bytes = b"x") -> ApiError:
    with pytest.raises(ApiError) as raised:
        await directory.write(path, content)
    return raised.value


@pytest.mark.promise("files.bounded")
async def test_directories_count_as_disk_usage(tmp_path: Path) -> None:
    directory = await open_workspace(tmp_path, DiskLimits(DiskUsage(40 * KIB, 100), LARGE_LIMITS.per_key))

    await directory.write("/".join("abcdefgh"), b"x")  # seven directories and a file: 32 KiB

    assert (await get_rejection(directory, "p/q/r")).code == "session_disk_limit_exceeded"
    assert await directory.write("p", b"x") is True


async def test_limits_the_number_of_entries(tmp_path: Path) -> None:
    directory = await open_workspace(tmp_path, DiskLimits(DiskUsage(10**9, 3), LARGE_LIMITS.per_key))

    await directory.write("a/b/c", b"x")

    assert (await get_rejection(directory)).status == 413


async def test_rejects_path_with_too_many_parts_with_413(tmp_path: Path) -> None:
    directory = await open_workspace(tmp_path, LARGE_LIMITS)

    error = await get_rejection(directory, "/".join(["a"] * (MAX_PATH_DEPTH + 1)))

    assert (error.status, error.code) == (413, "session_disk_limit_exceeded")
    assert (await directory.list_files()).files == []
    assert await directory.write("/".join(["a"] * MAX_PATH_DEPTH), b"x") is True


@pytest.mark.promise("files.bounded")
async def test_limits_disk_usage_of_all_sessions_of_a_key(tmp_path: Path) -> None:
    files = SessionFiles(
        await open_workspaces(tmp_path), DiskLimits(LARGE_LIMITS.per_workspace, DiskUsage(20 * KIB, 100))
    )
    for name in ("1", "2"):
        await (await files.open_directory("ann", name, create=True)).write("x", bytes(8 * KIB))

    error = await get_rejection(await files.open_directory("ann", "3", create=True), content=bytes(8 * KIB))

    assert (error.status, error.code) == (413, "session_disk_limit_exceeded")
    assert "MAX_SESSION_DISK_PER_KEY_MIB" in error.message
    assert await (await files.open_directory("bob", "3", create=True)).write("x", bytes(8 * KIB))


async def test_deletion_and_replacement_free_space(tmp_path: Path) -> None:
    directory = await open_workspace(tmp_path, DiskLimits(DiskUsage(20 * KIB, 100), LARGE_LIMITS.per_key))
    await directory.write("x", bytes(8 * KIB))
    for _ in range(9):
        await directory.write("x", bytes(8 * KIB))

    await directory.write("y", bytes(12 * KIB))
    await get_rejection(directory, "z")
    await directory.delete("y")

    assert await directory.write("z", b"") is True


async def test_deleted_session_counts_until_its_files_are_removed(tmp_path: Path) -> None:
    workspaces = await open_workspaces(tmp_path)
    files = SessionFiles(workspaces, LARGE_LIMITS)
    await (await files.open_directory("ann", "1", create=True)).write("x", bytes(8 * KIB))
    assert workspaces.disk_usage.get_total("ann").size_bytes > 8 * KIB - 1

    await workspaces.remove(workspaces.get_session_path("ann", "1"))
    await workspaces.wait_removed()

    assert workspaces.disk_usage.get_total("ann") == DiskUsage(0, 0)


async def test_next_gateway_process_counts_files_that_a_job_created(tmp_path: Path) -> None:
    first = await open_workspaces(tmp_path)
    (await first.create_for_session("ann", "1") / "left").write_bytes(bytes(8 * KIB))
    second = await open_workspaces(tmp_path)

    await second.measure_unknown([("ann", "1")])

    assert second.disk_usage.get_total("ann").size_bytes >= 8 * KIB


DISK_ERRORS = [
    (errno.ENOSPC, 507),
    (errno.EDQUOT, 507),
    (errno.EIO, 503),
    (errno.EROFS, 503),
    (errno.EMFILE, 503),
    (errno.ENFILE, 503),
    (errno.ENOMEM, 503),
]


@pytest.mark.promise("files.disk-fault")
@pytest.mark.parametrize(("number", "status"), DISK_ERRORS)
@pytest.mark.parametrize("call", ["open", "mkdir", "replace"])
async def test_disk_failure_is_not_reported_as_client_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, call: str
) -> None:
    directory = await open_workspace(tmp_path, LARGE_LIMITS)
    await directory.write("warm", b"x")
    original: Callable[..., Any] = getattr(os, call)

    def fail_with_dir_fd(path: Any, *arguments: Any, **options: Any) -> Any:
        if "dir_fd" in options or "src_dir_fd" in options:
            raise OSError(number, os.strerror(number))
        return original(path, *arguments, **options)

    monkeypatch.setattr(os, call, fail_with_dir_fd)
    error = await get_rejection(directory, "a/b")
    monkeypatch.undo()

    assert (error.status, error.retry_after) == (status, 30)
    assert str(tmp_path) not in error.message
    assert await directory.write("a/b", b"x") is True


@pytest.mark.parametrize("path", ["file/x", "directory", "link/x"])
async def test_rejects_invalid_path_as_client_error(tmp_path: Path, path: str) -> None:
    directory = await open_workspace(tmp_path, LARGE_LIMITS)
    await directory.write("file", b"x")
    await directory.write("directory/x", b"x")
    root = directory._root
    (root / "link").symlink_to("/usr")

    assert (await get_rejection(directory, path)).status in (400, 404)
