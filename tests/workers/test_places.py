import errno
import os
from pathlib import Path

import pytest

from workers.homes import UnsafeDirectory
from workers.places import Places, Weight, talk_of, weigh
from workers.record import NO_RECORD

ID = "00000000-0000-4000-8000-000000000000"


async def places_in(base: Path) -> Places:
    places = Places(base, None)
    await places.open()
    return places


async def test_a_fresh_place_becomes_a_sessions_with_all_that_it_had(tmp_path: Path) -> None:
    places = await places_in(tmp_path)
    old = await places.make_kept("key", "session")
    (old / "kept").write_text("x")
    fresh = await places.fresh()
    inside = os.open(fresh, os.O_DIRECTORY)
    settled = await places.settle(fresh, "key", "session")
    assert settled == old == places.kept("key", "session")
    assert os.listdir(inside) == ["kept"]  # noqa: PTH208 - who lives in it sees it
    os.close(inside)


async def test_a_record_goes_on_with_its_place_is_begun_anew_with_another_process_and_goes_with_it(
    tmp_path: Path,
) -> None:
    places = await places_in(tmp_path)
    record = NO_RECORD.with_end("name", ID, ID)
    place = await places.make_kept("key", "session")
    (talk_of(place) / "said").write_text("x")
    await places.write_record(place, record)
    assert await places.record("key", "session") == record
    fresh = await places.fresh()
    (talk_of(fresh) / "other").write_text("y")
    await places.settle(fresh, "key", "session")
    assert [path.name for path in talk_of(place).iterdir()] == ["other"]
    assert await places.record("key", "session") == NO_RECORD
    await places.write_record(place, record)
    await places.forget(place)
    assert (list(talk_of(place).iterdir()), await places.record("key", "session")) == ([], NO_RECORD)
    await places.remove(place)
    gone = await places.make_kept("key", "gone")
    for half_gone in (await places.make_kept("key", "half gone"), await places.fresh()):
        half_gone.rmdir()
    await places.sweep([])
    await places.open()
    assert not gone.exists()
    assert list(gone.parent.iterdir()) == []


async def test_sessions_of_one_name_have_other_places_for_other_keys(tmp_path: Path) -> None:
    places = Places(tmp_path, None)
    names = [("a", "b"), ("b", "b"), ("a b", ""), ("a", " b"), ("a", "../../x"), ("a", "\ud800")]
    assert len({places.kept(*name) for name in names}) == len(names)
    assert {places.kept(*name).parent for name in names} == {tmp_path / ".claude-gateway-places"}


async def test_what_nobody_may_read_is_removed_all_the_same(tmp_path: Path) -> None:
    places = await places_in(tmp_path)
    place = await places.fresh()
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "b" / "file").touch()
    (place / "a" / "b").chmod(0)
    (place / "a").chmod(0)
    await places.remove(place)
    assert not place.exists()


async def test_removing_follows_no_link(tmp_path: Path) -> None:
    places = await places_in(tmp_path)
    place, outside = await places.fresh(), tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (place / "link").symlink_to(outside)
    (place / "locked").mkdir(mode=0)
    await places.remove(place)
    assert (outside / "file").exists()


async def test_a_sweep_and_a_start_leave_what_is_in_use(tmp_path: Path) -> None:
    places = await places_in(tmp_path)
    mine, gone, fresh = await places.make_kept("k", "1"), await places.make_kept("k", "2"), await places.fresh()
    await places.sweep([mine])
    assert (mine.exists(), gone.exists(), fresh.exists()) == (True, False, True)
    await places.open()
    assert (mine.exists(), fresh.exists()) == (True, False)


async def test_links_weigh_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to("/usr")
    weight = await weigh(tmp_path)
    assert weight.entries == 2
    assert 10_000 <= weight.bytes < 30_000
    assert await weigh(tmp_path / "none") == Weight(0, 0)


async def test_a_base_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".claude-gateway-places").mkdir(mode=0o777)
    (tmp_path / ".claude-gateway-places").chmod(0o777)
    with pytest.raises(UnsafeDirectory):
        await places_in(tmp_path)


async def test_a_place_that_the_machine_cannot_look_at_does_not_count_as_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "scandir", failing)

    with pytest.raises(OSError, match="Too many open files"):
        await weigh(tmp_path)


async def test_a_large_place_is_gone_at_once_and_its_room_is_given_back(tmp_path: Path) -> None:
    places = await places_in(tmp_path)
    place = await places.make_kept("key", "session")
    for number in range(300):
        (place / str(number)).mkdir()
    assert (await places.weigh("key", "session")).entries == 300

    await places.remove(place)
    assert not place.exists()
    again = await places.make_kept("key", "session")
    await places.removed()

    assert again.exists()
    assert places.usage.of("key").entries == 0
    assert list((tmp_path / ".claude-gateway-trash").iterdir()) == []
