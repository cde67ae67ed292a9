import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.workers.helpers import soon
from workers.homes import Homes, StateDirectoryInUse, UnsafeDirectory


@contextmanager
def closing(homes: Homes) -> Iterator[Homes]:
    try:
        yield homes
    finally:
        homes.close()


@asynccontextmanager
async def a_process() -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that leads a group, as a worker's does, and ends with the test at the latest."""
    process = await asyncio.create_subprocess_exec("/bin/sleep", "600", start_new_session=True)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await soon(process.wait())


async def left_behind(root: Path, pid: int) -> Path:
    """What a gateway leaves that is killed while `pid` is its worker; returns the record."""
    dead = Homes(root)
    await dead.open()
    home = await dead.make()
    (home / "a file").write_text("left")
    await dead.record(home, pid)
    dead.close()
    return home.with_suffix(".pid")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_state_directory_serves_one_gateway_at_a_time(tmp_path: Path) -> None:
    with closing(Homes(tmp_path)) as first:
        await first.open()
        for _ in range(2):
            with pytest.raises(StateDirectoryInUse):
                await Homes(tmp_path).open()


async def test_a_second_gateway_that_is_refused_touches_nothing(tmp_path: Path) -> None:
    async with a_process() as worker:
        with closing(Homes(tmp_path)) as first:
            await first.open()
            home = await first.make()
            await first.record(home, worker.pid)
            with pytest.raises(StateDirectoryInUse):
                await Homes(tmp_path).open()
            assert home.is_dir()
            assert worker.returncode is None


async def test_a_state_directory_let_go_serves_the_next_gateway(tmp_path: Path) -> None:
    with closing(Homes(tmp_path)) as first:
        await first.open()
    with closing(Homes(tmp_path)) as second:
        assert await second.open() == 0


@pytest.mark.promise("stop.no-orphan")
async def test_an_orphan_of_a_dead_gateway_is_ended_and_its_home_removed(tmp_path: Path) -> None:
    async with a_process() as orphan:
        record = await left_behind(tmp_path, orphan.pid)
        with closing(Homes(tmp_path)) as homes:
            assert await homes.open() == 1
            assert await soon(orphan.wait()) < 0
            assert not record.exists()
            assert not record.with_suffix("").exists()


async def test_a_record_whose_number_belongs_to_a_later_process_ends_nobody(tmp_path: Path) -> None:
    async with a_process() as stranger:
        record = await left_behind(tmp_path, stranger.pid)
        pid, started = record.read_text().split()
        record.write_text(f"{pid} {int(started) - 1}")
        with closing(Homes(tmp_path)) as homes:
            assert await homes.open() == 0
            assert stranger.returncode is None
            os.kill(stranger.pid, 0)
            assert not record.exists()


@pytest.mark.parametrize("text", ["", "7", "seven 8", "1 2 3", "\xff"])
async def test_a_damaged_record_is_passed_over(tmp_path: Path, text: str) -> None:
    record = await left_behind(tmp_path, os.getpid())
    record.write_text(text, "latin-1")
    with closing(Homes(tmp_path)) as homes:
        assert await homes.open() == 0


async def test_the_record_of_a_process_already_gone_ends_nobody(tmp_path: Path) -> None:
    async with a_process() as worker:
        await left_behind(tmp_path, worker.pid)
        worker.kill()
        await soon(worker.wait())
        with closing(Homes(tmp_path)) as homes:
            assert await homes.open() == 0


async def test_homes_are_for_this_user_alone(tmp_path: Path) -> None:
    root = tmp_path / "state"
    with closing(Homes(root)) as homes:
        await homes.open()
        home = await homes.make()
        assert [mode(path) for path in (root, home.parent, home)] == [0o700] * 3
        assert mode(home.parent / "lock") == 0o600


async def test_every_worker_has_a_home_of_its_own(tmp_path: Path) -> None:
    with closing(Homes(tmp_path)) as homes:
        await homes.open()
        assert len({await homes.make() for _ in range(3)}) == 3


async def test_homes_may_be_elsewhere_and_leave_what_else_is_there_alone(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "notes.txt").write_text("mine")
    with closing(Homes(project)) as homes:
        await homes.open()
        home = await homes.make()
        assert project in home.parents
    with closing(Homes(project)) as homes:
        await homes.open()
        assert not home.exists()
        assert (project / "notes.txt").read_text() == "mine"


async def test_a_home_that_is_removed_takes_its_record_along(tmp_path: Path) -> None:
    with closing(Homes(tmp_path)) as homes:
        await homes.open()
        home = await homes.make()
        await homes.record(home, os.getpid())
        await homes.remove(home)
        await homes.remove(home)
        assert [path.name for path in home.parent.iterdir()] == ["lock"]


async def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".claude-gateway-workers").mkdir()
    (tmp_path / ".claude-gateway-workers").chmod(0o777)
    with pytest.raises(UnsafeDirectory):
        await Homes(tmp_path).open()


async def test_a_link_in_the_place_of_the_directory_is_refused_and_nothing_behind_it_is_touched(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "w-precious").mkdir(parents=True)
    (tmp_path / ".claude-gateway-workers").symlink_to(victim)
    with pytest.raises(UnsafeDirectory):
        await Homes(tmp_path).open()
    assert (victim / "w-precious").is_dir()


async def test_only_what_is_ours_is_swept(tmp_path: Path) -> None:
    with closing(Homes(tmp_path)) as homes:
        await homes.open()
        stranger = (await homes.make()).parent / "notes"
        stranger.mkdir()
    with closing(Homes(tmp_path)) as homes:
        await homes.open()
        assert [path.name for path in sorted(stranger.parent.iterdir())] == ["lock", "notes"]
