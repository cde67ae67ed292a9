"""The keys in the database, and that whoever holds them hears of every change."""

import asyncio
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from claude_gateway.access.keys import Budget, Key, Rates, StoredKey
from claude_gateway.stores.change_count import ChangeCount
from claude_gateway.stores.db import StoreUnusable, open_database
from claude_gateway.stores.keys import MOST_KEYS, KeyStore, TooManyKeys, open_keys
from tests.workers.helpers import PATIENCE

KEY = Key(
    "0123456789ab",
    frozenset({"chat", "mcp"}),
    "der Schlüssel",
    ("claude-haiku-*", "opus"),
    Rates({"chat": 3}, 2),
    Budget(1_000, 2.5),
)
STORED = StoredKey(KEY, b"d" * 32, 100.0, 200.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[KeyStore]:
    async with open_database(path) as database, open_keys(database, path) as opened:
        yield opened


async def test_a_key_is_read_as_it_was_written(store: KeyStore) -> None:
    await store.add(STORED)

    assert await store.held() == (True, [STORED])
    assert await store.listed() == [STORED]


async def test_a_revoked_key_is_listed_and_held_no_more(store: KeyStore) -> None:
    await store.add(STORED)

    assert await store.revoke(KEY.id, 150.0)
    assert await store.held() == (True, [])
    assert await store.listed() == [replace(STORED, revoked_at=150.0)]
    assert not await store.revoke(KEY.id, 160.0)
    assert await store.renew(KEY.id, b"e" * 32) is None


async def test_a_renewed_key_differs_in_its_digest_alone(store: KeyStore) -> None:
    await store.add(STORED)

    assert await store.renew(KEY.id, b"e" * 32) == replace(STORED, digest=b"e" * 32)
    assert await store.held() == (True, [replace(STORED, digest=b"e" * 32)])


async def test_every_change_is_counted_also_for_others_at_the_same_file(store: KeyStore, path: Path) -> None:
    async with open_database(path) as database, open_keys(database, path) as other:
        seen = [other.changes]
        await store.add(STORED)
        seen.append(other.changes)
        await store.renew(KEY.id, b"e" * 32)
        seen.append(other.changes)
        await store.revoke(KEY.id, 1.0)
        seen.append(other.changes)

        assert seen == [(1, 0), (1, 1), (1, 2), (1, 3)]
        assert await other.held() == (True, [])


async def test_reading_changes_nothing(store: KeyStore) -> None:
    await store.add(STORED)
    before = store.changes

    await store.held()
    await store.listed()

    assert store.changes == before


async def test_there_are_only_so_many(store: KeyStore) -> None:
    for number in range(MOST_KEYS):
        await store.add(replace(STORED, key=replace(KEY, id=f"{number:012x}")))

    with pytest.raises(TooManyKeys):
        await store.add(replace(STORED, key=replace(KEY, id="f" * 12)))
    await store.revoke(f"{0:012x}", 1.0)
    await store.add(replace(STORED, key=replace(KEY, id="f" * 12)))


async def test_the_file_beside_the_database_is_its_user_s_alone_and_never_made_shorter(tmp_path: Path) -> None:
    file = tmp_path / "gateway.changes"
    file.write_bytes(b"\x07" + bytes(99))
    file.chmod(0o600)

    count = ChangeCount(tmp_path / "gateway.db")
    count.add_one()

    assert (count.value[1], file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) == (8, 100, 0o600)
    count.close()


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
async def test_who_deletes_that_file_cuts_nobody_off_for_long(path: Path, replaced: bool) -> None:
    file = path.with_suffix(".changes")
    async with open_database(path) as database, open_keys(database, path, look_seconds=0.001) as store:
        before = store.changes
        if replaced:
            (path.parent / "other").write_bytes(bytes(8))
            (path.parent / "other").rename(file)
        else:
            file.unlink()
        async with asyncio.timeout(PATIENCE):
            while store.changes == before:
                await asyncio.to_thread(file.exists)
        cut_off = store.changes
        async with open_database(path) as another, open_keys(another, path) as elsewhere:
            await elsewhere.add(STORED)

        assert store.changes != cut_off


def test_a_change_is_seen_that_came_between_the_deletion_and_the_look(path: Path) -> None:
    """Whatever number stands in the new file, also the one that stood in the old."""
    count = ChangeCount(path)
    count.add_one()
    before = count.value
    path.with_suffix(".changes").unlink()
    another = ChangeCount(path)
    another.add_one()

    assert (count.value, count.renew(), count.renew()) == (before, True, False)
    assert count.value != before
    count.close()
    another.close()


async def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.with_suffix(".changes").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreUnusable):
        async with open_database(path) as database, open_keys(database, path):
            pass
    assert not (tmp_path / "elsewhere").exists()
