import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.workers.helpers import with_timeout
from workers.host.process_dirs import ProcessDirectories, StateDirectoryInUse, UnsafeDirectory


@contextmanager
def closing(process_dirs: ProcessDirectories) -> Iterator[ProcessDirectories]:
    try:
        yield process_dirs
    finally:
        process_dirs.close()


@asynccontextmanager
async def start_process() -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process that leads a group, as a worker does; it is killed at the end of the test."""
    process = await asyncio.create_subprocess_exec("/bin/sleep", "600", start_new_session=True)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await with_timeout(process.wait())


async def leave_files_of_killed_gateway(root: Path, pid: int) -> Path:
    """Create the files of a killed gateway with the worker `pid`, and return the pid file."""
    killed = ProcessDirectories(root)
    await killed.open()
    process_dir = await killed.create()
    (process_dir / "a file").write_text("left")
    await killed.write_pid_file(process_dir, pid)
    killed.close()
    return process_dir.with_suffix(".pid")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_rejects_a_second_gateway_on_the_same_state_directory(tmp_path: Path) -> None:
    with closing(ProcessDirectories(tmp_path)) as first:
        await first.open()
        for _ in range(2):
            with pytest.raises(StateDirectoryInUse):
                await ProcessDirectories(tmp_path).open()


async def test_a_rejected_gateway_changes_nothing(tmp_path: Path) -> None:
    async with start_process() as worker:
        with closing(ProcessDirectories(tmp_path)) as first:
            await first.open()
            process_dir = await first.create()
            await first.write_pid_file(process_dir, worker.pid)
            with pytest.raises(StateDirectoryInUse):
                await ProcessDirectories(tmp_path).open()
            assert process_dir.is_dir()
            assert worker.returncode is None


async def test_the_next_gateway_can_use_a_released_state_directory(tmp_path: Path) -> None:
    with closing(ProcessDirectories(tmp_path)) as first:
        await first.open()
    with closing(ProcessDirectories(tmp_path)) as second:
        assert await second.open() == 0


@pytest.mark.promise("stop.no-orphan")
async def test_kills_an_orphan_and_removes_its_process_directory(tmp_path: Path) -> None:
    async with start_process() as orphan:
        pid_file = await leave_files_of_killed_gateway(tmp_path, orphan.pid)
        with closing(ProcessDirectories(tmp_path)) as process_dirs:
            assert await process_dirs.open() == 1
            assert await with_timeout(orphan.wait()) < 0
            assert not pid_file.exists()
            assert not pid_file.with_suffix("").exists()


async def test_does_not_kill_a_later_process_with_the_same_pid(tmp_path: Path) -> None:
    async with start_process() as other_process:
        pid_file = await leave_files_of_killed_gateway(tmp_path, other_process.pid)
        pid, start_time = pid_file.read_text().split()
        pid_file.write_text(f"{pid} {int(start_time) - 1}")
        with closing(ProcessDirectories(tmp_path)) as process_dirs:
            assert await process_dirs.open() == 0
            assert other_process.returncode is None
            os.kill(other_process.pid, 0)
            assert not pid_file.exists()


@pytest.mark.parametrize("text", ["", "7", "seven 8", "1 2 3", "\xff"])
async def test_ignores_a_damaged_pid_file(tmp_path: Path, text: str) -> None:
    pid_file = await leave_files_of_killed_gateway(tmp_path, os.getpid())
    pid_file.write_text(text, "latin-1")
    with closing(ProcessDirectories(tmp_path)) as process_dirs:
        assert await process_dirs.open() == 0


async def test_kills_nothing_if_the_process_has_already_exited(tmp_path: Path) -> None:
    async with start_process() as worker:
        await leave_files_of_killed_gateway(tmp_path, worker.pid)
        worker.kill()
        await with_timeout(worker.wait())
        with closing(ProcessDirectories(tmp_path)) as process_dirs:
            assert await process_dirs.open() == 0


async def test_creates_process_directories_that_only_this_user_can_access(tmp_path: Path) -> None:
    root = tmp_path / "state"
    with closing(ProcessDirectories(root)) as process_dirs:
        await process_dirs.open()
        process_dir = await process_dirs.create()
        assert [mode(path) for path in (root, process_dir.parent, process_dir)] == [0o700] * 3
        assert mode(process_dir.parent / "lock") == 0o600


async def test_creates_a_new_directory_for_every_process(tmp_path: Path) -> None:
    with closing(ProcessDirectories(tmp_path)) as process_dirs:
        await process_dirs.open()
        assert len({await process_dirs.create() for _ in range(3)}) == 3


async def test_leaves_other_files_in_the_state_directory_alone(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "notes.txt").write_text("mine")
    with closing(ProcessDirectories(project)) as process_dirs:
        await process_dirs.open()
        process_dir = await process_dirs.create()
        assert project in process_dir.parents
    with closing(ProcessDirectories(project)) as process_dirs:
        await process_dirs.open()
        assert not process_dir.exists()
        assert (project / "notes.txt").read_text() == "mine"


async def test_removes_the_pid_file_with_the_process_directory(tmp_path: Path) -> None:
    with closing(ProcessDirectories(tmp_path)) as process_dirs:
        await process_dirs.open()
        process_dir = await process_dirs.create()
        await process_dirs.write_pid_file(process_dir, os.getpid())
        await process_dirs.remove(process_dir)
        await process_dirs.remove(process_dir)
        assert [path.name for path in process_dir.parent.iterdir()] == ["lock"]


async def test_rejects_a_directory_that_other_users_can_write_to(tmp_path: Path) -> None:
    (tmp_path / ".claude-gateway-workers").mkdir()
    (tmp_path / ".claude-gateway-workers").chmod(0o777)
    with pytest.raises(UnsafeDirectory):
        await ProcessDirectories(tmp_path).open()


async def test_rejects_a_link_and_leaves_its_target_alone(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "w-precious").mkdir(parents=True)
    (tmp_path / ".claude-gateway-workers").symlink_to(victim)
    with pytest.raises(UnsafeDirectory):
        await ProcessDirectories(tmp_path).open()
    assert (victim / "w-precious").is_dir()


async def test_removes_only_its_own_process_directories(tmp_path: Path) -> None:
    with closing(ProcessDirectories(tmp_path)) as process_dirs:
        await process_dirs.open()
        other_directory = (await process_dirs.create()).parent / "notes"
        other_directory.mkdir()
    with closing(ProcessDirectories(tmp_path)) as process_dirs:
        await process_dirs.open()
        assert [path.name for path in sorted(other_directory.parent.iterdir())] == ["lock", "notes"]
