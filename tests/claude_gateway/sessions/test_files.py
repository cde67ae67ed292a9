"""The files of a session: bounds of bytes, of entries, of depth and of a key's sessions together, and whose fault it is
where the disk takes nothing."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.sessions.files import Directory, SessionFiles
from workers.disk_usage import DiskBounds, Weight
from workers.places import MOST_DEPTH, Places

KIB = 1_024
ROOMY = DiskBounds(Weight(10**9, 10**6), Weight(10**9, 10**6))


async def opened(base: Path, bounds: DiskBounds, session: str = "s", owner: str = "ann") -> Directory:
    return await SessionFiles(await places_in(base), bounds).directory(owner, session, make=True)


async def places_in(base: Path) -> Places:
    places = Places(base, None)
    await places.open()
    return places


async def refused(directory: Directory, path: str = "x", content: bytes = b"x") -> ApiError:
    with pytest.raises(ApiError) as raised:
        await directory.write(path, content)
    return raised.value


@pytest.mark.promise("files.bounded")
async def test_directories_count_as_bytes_do(tmp_path: Path) -> None:
    directory = await opened(tmp_path, DiskBounds(Weight(40 * KIB, 100), ROOMY.of_an_owner))

    await directory.write("/".join("abcdefgh"), b"x")  # seven directories and a file: 32 KiB

    assert (await refused(directory, "p/q/r")).code == "session_disk_full"
    assert await directory.write("p", b"x") is True


async def test_entries_have_a_bound_of_their_own(tmp_path: Path) -> None:
    directory = await opened(tmp_path, DiskBounds(Weight(10**9, 3), ROOMY.of_an_owner))

    await directory.write("a/b/c", b"x")

    assert (await refused(directory)).status == 413


async def test_a_path_deeper_than_a_job_may_nest_is_a_413(tmp_path: Path) -> None:
    directory = await opened(tmp_path, ROOMY)

    error = await refused(directory, "/".join(["a"] * (MOST_DEPTH + 1)))

    assert (error.status, error.code) == (413, "session_disk_full")
    assert (await directory.listed()).files == []
    assert await directory.write("/".join(["a"] * MOST_DEPTH), b"x") is True


@pytest.mark.promise("files.bounded")
async def test_all_sessions_of_a_key_together_have_a_bound_and_another_key_its_own(tmp_path: Path) -> None:
    files = SessionFiles(await places_in(tmp_path), DiskBounds(ROOMY.of_a_place, Weight(20 * KIB, 100)))
    for name in ("1", "2"):
        await (await files.directory("ann", name, make=True)).write("x", bytes(8 * KIB))

    error = await refused(await files.directory("ann", "3", make=True), content=bytes(8 * KIB))

    assert (error.status, error.code) == (413, "session_disk_full")
    assert "SESSIONS_DISK_MB" in error.message
    assert await (await files.directory("bob", "3", make=True)).write("x", bytes(8 * KIB))


async def test_what_is_deleted_or_replaced_makes_room(tmp_path: Path) -> None:
    directory = await opened(tmp_path, DiskBounds(Weight(20 * KIB, 100), ROOMY.of_an_owner))
    await directory.write("x", bytes(8 * KIB))
    for _ in range(9):
        await directory.write("x", bytes(8 * KIB))

    await directory.write("y", bytes(12 * KIB))
    await refused(directory, "z")
    await directory.delete("y")

    assert await directory.write("z", b"") is True


async def test_a_deleted_session_counts_until_its_room_is_given_back(tmp_path: Path) -> None:
    places = await places_in(tmp_path)
    files = SessionFiles(places, ROOMY)
    await (await files.directory("ann", "1", make=True)).write("x", bytes(8 * KIB))
    assert places.usage.of("ann").bytes > 8 * KIB - 1

    await places.remove(places.kept("ann", "1"))
    await places.removed()

    assert places.usage.of("ann") == Weight(0, 0)


async def test_what_a_job_left_there_is_known_to_the_next_gateway(tmp_path: Path) -> None:
    first = await places_in(tmp_path)
    (await first.make_kept("ann", "1") / "left").write_bytes(bytes(8 * KIB))
    second = await places_in(tmp_path)

    await second.weigh_unknown([("ann", "1")])

    assert second.usage.of("ann").bytes >= 8 * KIB


FAULTS = [
    (errno.ENOSPC, 507),
    (errno.EDQUOT, 507),
    (errno.EIO, 503),
    (errno.EROFS, 503),
    (errno.EMFILE, 503),
    (errno.ENFILE, 503),
    (errno.ENOMEM, 503),
]


@pytest.mark.promise("files.disk-fault")
@pytest.mark.parametrize(("number", "status"), FAULTS)
@pytest.mark.parametrize("call", ["open", "mkdir", "replace"])
async def test_a_disk_that_takes_nothing_is_no_fault_of_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, call: str
) -> None:
    directory = await opened(tmp_path, ROOMY)
    await directory.write("warm", b"x")
    real: Callable[..., Any] = getattr(os, call)

    def failing(path: Any, *arguments: Any, **options: Any) -> Any:
        if "dir_fd" in options or "src_dir_fd" in options:
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, call, failing)
    error = await refused(directory, "a/b")
    monkeypatch.undo()

    assert (error.status, error.retry_after) == (status, 30)
    assert str(tmp_path) not in error.message
    assert await directory.write("a/b", b"x") is True


@pytest.mark.parametrize("path", ["file/x", "directory", "link/x"])
async def test_a_path_that_cannot_be_stays_the_fault_of_who_asked(tmp_path: Path, path: str) -> None:
    directory = await opened(tmp_path, ROOMY)
    await directory.write("file", b"x")
    await directory.write("directory/x", b"x")
    root = directory._root
    (root / "link").symlink_to("/usr")

    assert (await refused(directory, path)).status in (400, 404)
