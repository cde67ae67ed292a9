"""Stored sessions: atomic writes, separation of keys, and expiry."""

import pytest

from claude_gateway.dialects.common.content.conversation import SessionHistory
from claude_gateway.sessions.session_store import (
    SessionChange,
    SessionChanged,
    SessionInfo,
    SessionSnapshot,
    SessionStore,
    SessionTotals,
)
from claude_gateway.sessions.turn_codec import encode_turn
from claude_gateway.storage.database import Database
from workers.core.job import Text, Turn

NOW = 1_000_000.0
LATER = NOW + 3600


@pytest.fixture
def store(database: Database) -> SessionStore:
    return SessionStore(database)


def turns(*texts: str) -> tuple[Turn, ...]:
    return tuple(Turn("assistant" if number % 2 else "user", (Text(text),)) for number, text in enumerate(texts))


def create_change(*texts: str, system: str = "", kept_count: int = 0) -> SessionChange:
    return SessionChange(
        system, kept_count, [encode_turn(turn) for turn in turns(*[""] * kept_count, *texts)[kept_count:]]
    )


async def create_session(
    store: SessionStore, *texts: str, key_id: str = "ann", id_: str = "s", at: float = NOW
) -> SessionSnapshot:
    """Create a session with these texts as turns."""
    await store.write(key_id, id_, None, create_change(*texts), at, at + 3600)
    return await read_session(store, key_id, id_, at)


async def read_session(store: SessionStore, key_id: str = "ann", id_: str = "s", now: float = NOW) -> SessionSnapshot:
    snapshot = await store.read_snapshot(key_id, id_, now)
    assert snapshot is not None
    return snapshot


async def count_rows(database: Database) -> int:
    ((count,),) = await database.execute("SELECT count(*) FROM session_turns")
    return int(count)


async def test_unknown_session_does_not_exist(store: SessionStore) -> None:
    assert await store.read_snapshot("ann", "s", NOW) is None
    assert await store.get_info("ann", "s", NOW) is None
    assert await store.list_infos("ann", NOW, 10) == []
    assert await store.get_totals("ann", NOW) == SessionTotals(0, 0, 0, 0, 0)


async def test_reads_what_was_written(store: SessionStore) -> None:
    await store.write("ann", "s", None, create_change("one", "two", system="be brief"), NOW, LATER)

    assert (await read_session(store)).history == SessionHistory("be brief", turns("one", "two"))
    assert await store.get_info("ann", "s", NOW) == SessionInfo("s", NOW, NOW, LATER, 2)


async def test_appends_new_turns(store: SessionStore, database: Database) -> None:
    before = await create_session(store, "one", "two")
    await database.execute("CREATE TABLE touched (number INTEGER)")
    await database.execute(
        "CREATE TRIGGER watch AFTER DELETE ON session_turns BEGIN INSERT INTO touched VALUES (old.number); END"
    )

    await store.write("ann", "s", before, create_change("three", "four", kept_count=2), NOW + 5, LATER + 5)

    assert (await read_session(store)).history.turns == turns("one", "two", "three", "four")
    assert await store.get_info("ann", "s", NOW) == SessionInfo("s", NOW, NOW + 5, LATER + 5, 4)
    assert await database.execute("SELECT number FROM touched") == []


async def test_replaces_turns_from_the_first_difference(store: SessionStore) -> None:
    before = await create_session(store, "one", "two", "three", "four")

    await store.write("ann", "s", before, create_change("other", "five", kept_count=2), NOW, LATER)

    assert (await read_session(store)).history.turns == turns("one", "two", "other", "five")


async def test_size_is_the_sum_of_all_contents(store: SessionStore) -> None:
    before = await create_session(store, "one", "two", "three")
    assert before.size_bytes == sum(len(encode_turn(turn)) for turn in turns("one", "two", "three"))

    await store.write("ann", "s", before, create_change("2", system="é", kept_count=1), NOW, LATER)

    assert (await read_session(store)).size_bytes == len("é".encode()) + sum(
        len(encode_turn(turn)) for turn in turns("one", "2")
    )


async def test_two_keys_may_use_the_same_session_id_separately(store: SessionStore) -> None:
    session_of_ann = await create_session(store, "ann's", key_id="ann")
    session_of_bob = await create_session(store, "bob's", key_id="bob")

    assert session_of_ann.history.turns == turns("ann's")
    assert session_of_bob.history.turns == turns("bob's")
    assert [info.turn_count for info in await store.list_infos("bob", NOW, 10)] == [1]
    assert (await store.get_totals("bob", NOW)).active_count == 1
    assert await store.delete("bob", "s", NOW)
    assert (await read_session(store)).history.turns == turns("ann's")


async def test_key_cannot_write_to_the_session_of_another_key(store: SessionStore) -> None:
    session_of_ann = await create_session(store, "ann's")

    with pytest.raises(SessionChanged):
        await store.write("bob", "s", session_of_ann, create_change("bob's"), NOW, LATER)
    await store.touch("bob", session_of_ann.row_id, NOW + 1, LATER + 1)

    assert await read_session(store) == session_of_ann
    assert await store.get_info("ann", "s", NOW) == SessionInfo("s", NOW, NOW, LATER, 1)


async def test_does_not_write_to_a_session_deleted_after_it_was_read(store: SessionStore, database: Database) -> None:
    before = await create_session(store, "one", "two")
    assert await store.delete("ann", "s", NOW)

    with pytest.raises(SessionChanged):
        await store.write("ann", "s", before, create_change("three", kept_count=2), NOW, LATER)

    assert await store.read_snapshot("ann", "s", NOW) is None
    assert await count_rows(database) == 0
    assert not await store.delete("ann", "s", NOW)


async def test_session_created_again_after_deletion_is_a_different_one(store: SessionStore) -> None:
    before = await create_session(store, "one", "two")
    await store.delete("ann", "s", NOW)
    await create_session(store, "new")

    with pytest.raises(SessionChanged):
        await store.write("ann", "s", before, create_change("three", kept_count=2), NOW, LATER)

    assert (await read_session(store)).history.turns == turns("new")


async def test_does_not_overwrite_a_session_changed_after_it_was_read(store: SessionStore) -> None:
    before = await create_session(store, "one", "two")
    await store.write("ann", "s", before, create_change("three", "four", kept_count=2), NOW, LATER)

    with pytest.raises(SessionChanged):
        await store.write("ann", "s", before, create_change("lost", "update", kept_count=2), NOW, LATER)

    assert (await read_session(store)).history.turns == turns("one", "two", "three", "four")


async def test_rejects_the_second_of_two_concurrent_creations(store: SessionStore) -> None:
    await create_session(store, "first")

    with pytest.raises(SessionChanged):
        await create_session(store, "second")


async def test_expired_session_does_not_exist(store: SessionStore) -> None:
    await create_session(store, "one", "two")

    assert await store.read_snapshot("ann", "s", LATER) is None
    assert await store.get_info("ann", "s", LATER) is None
    assert await store.list_infos("ann", LATER, 10) == []
    assert not await store.delete("ann", "s", LATER)
    assert await store.get_totals("ann", LATER) == SessionTotals(
        active_count=0, expired_count=1, turn_count=0, size_bytes=0, next_expires_at=0
    )


async def test_expired_session_can_be_created_again_before_cleanup(store: SessionStore, database: Database) -> None:
    await create_session(store, "old", "past")

    new_session = await create_session(store, "new", at=LATER)

    assert new_session.history.turns == turns("new")
    assert await count_rows(database) == 1


async def test_use_extends_the_session(store: SessionStore) -> None:
    before = await create_session(store, "one")

    await store.touch("ann", before.row_id, NOW + 60, LATER + 60)

    assert await store.get_info("ann", "s", LATER + 59) == SessionInfo("s", NOW, NOW + 60, LATER + 60, 1)


async def test_cleanup_deletes_all_expired_sessions_and_no_other(store: SessionStore, database: Database) -> None:
    for number in range(25):
        await create_session(store, "old", key_id=f"key {number % 3}", id_=f"s{number}")
    await create_session(store, "young", at=NOW + 1)

    assert await store.delete_expired(LATER, ()) == 25

    assert await count_rows(database) == 1
    assert (await store.get_totals("ann", NOW + 1)).active_count == 1


async def test_cleanup_spares_sessions_in_use(store: SessionStore) -> None:
    in_use = await create_session(store, "one")
    await create_session(store, "one", id_="other")

    assert await store.delete_expired(LATER, {in_use.row_id}) == 1

    await store.write("ann", "s", in_use, create_change("two", kept_count=1), LATER, LATER + 3600)
    assert (await read_session(store, now=LATER)).history.turns == turns("one", "two")


async def test_lists_most_recently_used_sessions_first_up_to_the_limit(store: SessionStore) -> None:
    for number in range(5):
        await create_session(store, "one", id_=str(number), at=NOW + number)
    await store.touch("ann", (await read_session(store, id_="1")).row_id, NOW + 10, LATER)

    assert [info.id for info in await store.list_infos("ann", NOW + 4, 3)] == ["1", "4", "3"]


async def test_totals_count_the_sessions_of_a_key(store: SessionStore) -> None:
    first = await create_session(store, "one", "two", id_="a", at=NOW + 7)
    second = await create_session(store, "one", id_="b", at=NOW + 3)
    await create_session(store, "past", id_="c", at=NOW - 3600)

    assert await store.get_totals("ann", NOW) == SessionTotals(2, 1, 3, first.size_bytes + second.size_bytes, LATER + 3)


@pytest.mark.parametrize("id_", ["a/b", "100%", "%2F", "محادثة", "'; DROP TABLE sessions; --", "x" * 256, " "])
async def test_accepts_session_ids_with_any_characters(store: SessionStore, id_: str) -> None:
    await create_session(store, "one", id_=id_)

    assert (await read_session(store, id_=id_)).history.turns == turns("one")
    assert await store.read_snapshot("ann", id_ + "x", NOW) is None
