"""API keys in the database; every process notices changes made by others."""

import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from claude_gateway.auth.key_store import MAX_KEYS, KeyStore, TooManyKeys, open_key_store
from claude_gateway.auth.models import ApiKey, Budget, KeyLimits, StoredKey
from claude_gateway.storage.database import StorageUnavailable, open_database
from claude_gateway.storage.shared_counter import SharedChangeCounter
from tests.claude_gateway.manual_timer import ManualTimer

KEY = ApiKey(
    "0123456789ab",
    frozenset({"chat", "mcp"}),
    "der Schlüssel",
    ("claude-haiku-*", "opus"),
    KeyLimits({"chat": 3}, 2),
    Budget(1_000, 2.5),
    "family",
    "account",
)
STORED = StoredKey(KEY, b"d" * 32, 100.0, 200.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[KeyStore]:
    async with open_database(path) as database, open_key_store(database, path) as key_store:
        yield key_store


async def test_reads_key_as_written(store: KeyStore) -> None:
    await store.add(STORED)

    assert await store.load_active_keys() == (True, [STORED])
    assert await store.list_keys() == [STORED]


async def test_key_of_an_earlier_version_is_in_no_group(store: KeyStore) -> None:
    await store.add(STORED)
    await store._database.execute("UPDATE keys SET allowed = json_remove(allowed, '$.group')")

    assert await store.list_keys() == [replace(STORED, key=replace(KEY, group=""))]


async def test_key_of_an_earlier_version_may_use_each_login(store: KeyStore) -> None:
    await store.add(STORED)
    await store._database.execute("UPDATE keys SET allowed = json_remove(allowed, '$.login')")

    assert await store.list_keys() == [replace(STORED, key=replace(KEY, login=""))]


async def test_other_processes_see_the_new_group_of_a_key(store: KeyStore, path: Path) -> None:
    await store.add(STORED)
    async with open_database(path) as database, open_key_store(database, path) as other:
        before = other.version
        moved = await store.update(KEY.id, lambda key: replace(key, group="team"))

        assert moved == replace(STORED, key=replace(KEY, group="team"))
        assert other.version != before
        assert await other.load_active_keys() == (True, [moved])


async def test_revoked_key_cannot_be_updated(store: KeyStore) -> None:
    await store.add(STORED)
    await store.revoke(KEY.id, 150.0)

    assert await store.update(KEY.id, lambda key: replace(key, group="team")) is None
    assert await store.list_keys() == [replace(STORED, revoked_at=150.0)]


async def test_revoked_key_is_listed_but_not_active(store: KeyStore) -> None:
    await store.add(STORED)

    assert await store.revoke(KEY.id, 150.0)
    assert await store.load_active_keys() == (True, [])
    assert await store.list_keys() == [replace(STORED, revoked_at=150.0)]
    assert not await store.revoke(KEY.id, 160.0)
    assert await store.replace_digest(KEY.id, b"e" * 32) is None


async def test_rotated_key_differs_only_in_its_digest(store: KeyStore) -> None:
    await store.add(STORED)

    assert await store.replace_digest(KEY.id, b"e" * 32) == replace(STORED, digest=b"e" * 32)
    assert await store.load_active_keys() == (True, [replace(STORED, digest=b"e" * 32)])


async def test_other_processes_see_every_change(store: KeyStore, path: Path) -> None:
    async with open_database(path) as database, open_key_store(database, path) as other:
        versions = [other.version]
        await store.add(STORED)
        versions.append(other.version)
        await store.replace_digest(KEY.id, b"e" * 32)
        versions.append(other.version)
        await store.revoke(KEY.id, 1.0)
        versions.append(other.version)

        assert versions == [(1, 0), (1, 1), (1, 2), (1, 3)]
        assert await other.load_active_keys() == (True, [])


async def test_reading_changes_nothing(store: KeyStore) -> None:
    await store.add(STORED)
    before = store.version

    await store.load_active_keys()
    await store.list_keys()

    assert store.version == before


async def test_limits_the_number_of_keys(store: KeyStore) -> None:
    for number in range(MAX_KEYS):
        await store.add(replace(STORED, key=replace(KEY, id=f"{number:012x}")))

    with pytest.raises(TooManyKeys):
        await store.add(replace(STORED, key=replace(KEY, id="f" * 12)))
    await store.revoke(f"{0:012x}", 1.0)
    await store.add(replace(STORED, key=replace(KEY, id="f" * 12)))


async def test_counter_file_is_readable_by_its_user_only_and_never_shrinks(tmp_path: Path) -> None:
    file = tmp_path / "gateway.changes"
    file.write_bytes(b"\x07" + bytes(99))
    file.chmod(0o600)

    counter = SharedChangeCounter(tmp_path / "gateway.db")
    counter.increment()

    assert (counter.value[1], file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) == (8, 100, 0o600)
    counter.close()


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "is_replaced"])
async def test_processes_notice_changes_soon_after_counter_file_was_deleted(path: Path, is_replaced: bool) -> None:
    file = path.with_suffix(".changes")
    timer = ManualTimer()
    async with open_database(path) as database, open_key_store(database, path, timer.sleep) as store:
        before = store.version
        if is_replaced:
            (path.parent / "other").write_bytes(bytes(8))
            (path.parent / "other").rename(file)
        else:
            file.unlink()
        await timer.tick()
        assert store.version != before
        after_check = store.version
        async with open_database(path) as other_counter, open_key_store(other_counter, path) as other_store:
            await other_store.add(STORED)

        assert store.version != after_check


def test_notices_change_between_deletion_and_check(path: Path) -> None:
    """The new file holds the same count as the old one, so the counts alone do not show the change."""
    counter = SharedChangeCounter(path)
    counter.increment()
    before = counter.value
    path.with_suffix(".changes").unlink()
    other_counter = SharedChangeCounter(path)
    other_counter.increment()

    assert (counter.value, counter.reopen_if_replaced(), counter.reopen_if_replaced()) == (before, True, False)
    assert counter.value != before
    counter.close()
    other_counter.close()


async def test_rejects_symlink_as_counter_file(path: Path, tmp_path: Path) -> None:
    path.with_suffix(".changes").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageUnavailable):
        async with open_database(path) as database, open_key_store(database, path):
            pass
    assert not (tmp_path / "elsewhere").exists()
