import errno
import os
from pathlib import Path

import pytest

from workers.conversation.resume_index import EMPTY_RESUME_INDEX
from workers.core.disk_usage import DiskUsage
from workers.host.process_dirs import UnsafeDirectory
from workers.host.workspaces import Workspaces, get_transcript_dir, measure_tree

ID = "00000000-0000-4000-8000-000000000000"


async def open_workspaces(base: Path) -> Workspaces:
    workspaces = Workspaces(base, None)
    await workspaces.open()
    return workspaces


async def test_promotes_a_temporary_workspace_with_the_files_of_the_session(tmp_path: Path) -> None:
    workspaces = await open_workspaces(tmp_path)
    old = await workspaces.create_for_session("key", "session")
    (old / "kept").write_text("x")
    temporary = await workspaces.create_temporary()
    directory_fd = os.open(temporary, os.O_DIRECTORY)
    promoted = await workspaces.promote(temporary, "key", "session")
    assert promoted == old == workspaces.get_session_path("key", "session")
    assert os.listdir(directory_fd) == ["kept"]  # noqa: PTH208 - a process in the workspace sees the files
    os.close(directory_fd)


async def test_keeps_resets_and_removes_the_transcript_with_its_workspace(
    tmp_path: Path,
) -> None:
    workspaces = await open_workspaces(tmp_path)
    resume_index = EMPTY_RESUME_INDEX.with_last_message("content key", ID, ID)
    workspace = await workspaces.create_for_session("key", "session")
    (get_transcript_dir(workspace) / "said").write_text("x")
    await workspaces.write_resume_index(workspace, resume_index)
    assert await workspaces.read_resume_index("key", "session") == resume_index
    temporary = await workspaces.create_temporary()
    (get_transcript_dir(temporary) / "other").write_text("y")
    await workspaces.promote(temporary, "key", "session")
    assert [path.name for path in get_transcript_dir(workspace).iterdir()] == ["other"]
    assert await workspaces.read_resume_index("key", "session") == EMPTY_RESUME_INDEX
    await workspaces.write_resume_index(workspace, resume_index)
    await workspaces.reset_transcript(workspace)
    assert (list(get_transcript_dir(workspace).iterdir()), await workspaces.read_resume_index("key", "session")) == (
        [],
        EMPTY_RESUME_INDEX,
    )
    await workspaces.remove(workspace)
    ended = await workspaces.create_for_session("key", "ended")
    for partly_removed in (
        await workspaces.create_for_session("key", "partly removed"),
        await workspaces.create_temporary(),
    ):
        partly_removed.rmdir()
    await workspaces.remove_all_except([])
    await workspaces.open()
    assert not ended.exists()
    assert list(ended.parent.iterdir()) == []


async def test_separates_sessions_with_the_same_name_by_key(tmp_path: Path) -> None:
    workspaces = Workspaces(tmp_path, None)
    session_keys = [("a", "b"), ("b", "b"), ("a b", ""), ("a", " b"), ("a", "../../x"), ("a", "\ud800")]
    assert len({workspaces.get_session_path(*session_key) for session_key in session_keys}) == len(session_keys)
    assert {workspaces.get_session_path(*session_key).parent for session_key in session_keys} == {
        tmp_path / ".claude-gateway-workspaces"
    }


async def test_removes_directories_without_permissions(tmp_path: Path) -> None:
    workspaces = await open_workspaces(tmp_path)
    workspace = await workspaces.create_temporary()
    (workspace / "a" / "b").mkdir(parents=True)
    (workspace / "a" / "b" / "file").touch()
    (workspace / "a" / "b").chmod(0)
    (workspace / "a").chmod(0)
    await workspaces.remove(workspace)
    assert not workspace.exists()


async def test_does_not_follow_links_when_it_removes_a_workspace(tmp_path: Path) -> None:
    workspaces = await open_workspaces(tmp_path)
    workspace, outside = await workspaces.create_temporary(), tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (workspace / "link").symlink_to(outside)
    (workspace / "locked").mkdir(mode=0)
    await workspaces.remove(workspace)
    assert (outside / "file").exists()


async def test_removes_only_unused_workspaces_in_a_cleanup_and_at_start(tmp_path: Path) -> None:
    workspaces = await open_workspaces(tmp_path)
    used, unused, temporary = (
        await workspaces.create_for_session("k", "1"),
        await workspaces.create_for_session("k", "2"),
        await workspaces.create_temporary(),
    )
    await workspaces.remove_all_except([used])
    assert (used.exists(), unused.exists(), temporary.exists()) == (True, False, True)
    await workspaces.open()
    assert (used.exists(), temporary.exists()) == (True, False)


async def test_measures_links_without_following_them(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to("/usr")
    usage = await measure_tree(tmp_path)
    assert usage.entry_count == 2
    assert 10_000 <= usage.size_bytes < 30_000
    assert await measure_tree(tmp_path / "none") == DiskUsage(0, 0)


async def test_rejects_a_base_directory_that_other_users_can_write_to(tmp_path: Path) -> None:
    (tmp_path / ".claude-gateway-workspaces").mkdir(mode=0o777)
    (tmp_path / ".claude-gateway-workspaces").chmod(0o777)
    with pytest.raises(UnsafeDirectory):
        await open_workspaces(tmp_path)


async def test_raises_an_error_if_the_host_cannot_read_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "scandir", fail)

    with pytest.raises(OSError, match="Too many open files"):
        await measure_tree(tmp_path)


async def test_removes_a_large_workspace_at_once_and_releases_its_disk_usage_later(tmp_path: Path) -> None:
    workspaces = await open_workspaces(tmp_path)
    workspace = await workspaces.create_for_session("key", "session")
    for number in range(300):
        (workspace / str(number)).mkdir()
    assert (await workspaces.measure_disk_usage("key", "session")).entry_count == 300

    await workspaces.remove(workspace)
    assert not workspace.exists()
    new_workspace = await workspaces.create_for_session("key", "session")
    await workspaces.wait_removed()

    assert new_workspace.exists()
    assert workspaces.disk_usage.get_total("key").entry_count == 0
    assert list((tmp_path / ".claude-gateway-trash").iterdir()) == []
