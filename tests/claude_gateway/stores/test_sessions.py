"""What is kept of sessions: whole or not at all, for its owner alone, until it expires."""

import pytest

from claude_gateway.prompt.conversation import Remembered
from claude_gateway.stores.db import Database
from claude_gateway.stores.sessions import Reading, SessionChanged, SessionInfo, SessionStore, Totals, Writing
from claude_gateway.stores.turns import dump
from workers.job import Text, Turn

NOW = 1_000_000.0
LATER = NOW + 3600


@pytest.fixture
def store(database: Database) -> SessionStore:
    return SessionStore(database)


def turns(*texts: str) -> tuple[Turn, ...]:
    return tuple(Turn("assistant" if number % 2 else "user", (Text(text),)) for number, text in enumerate(texts))


def writing(*texts: str, system: str = "", kept: int = 0) -> Writing:
    return Writing(system, kept, [dump(turn) for turn in turns(*[""] * kept, *texts)[kept:]])


async def begin(store: SessionStore, *texts: str, owner: str = "ann", id_: str = "s", at: float = NOW) -> Reading:
    """A session that holds these turns."""
    await store.write(owner, id_, None, writing(*texts), at, at + 3600)
    return await read(store, owner, id_, at)


async def read(store: SessionStore, owner: str = "ann", id_: str = "s", now: float = NOW) -> Reading:
    reading = await store.read(owner, id_, now)
    assert reading is not None
    return reading


async def rows(database: Database) -> int:
    ((count,),) = await database.run("SELECT count(*) FROM session_turns")
    return int(count)


async def test_a_session_that_nobody_began_is_none(store: SessionStore) -> None:
    assert await store.read("ann", "s", NOW) is None
    assert await store.info("ann", "s", NOW) is None
    assert await store.infos("ann", NOW, 10) == []
    assert await store.totals("ann", NOW) == Totals(0, 0, 0, 0, 0)


async def test_a_session_holds_what_was_written(store: SessionStore) -> None:
    await store.write("ann", "s", None, writing("one", "two", system="be brief"), NOW, LATER)

    assert (await read(store)).remembered == Remembered("be brief", turns("one", "two"))
    assert await store.info("ann", "s", NOW) == SessionInfo("s", NOW, NOW, LATER, 2)


async def test_what_comes_is_put_behind_what_is_there(store: SessionStore, database: Database) -> None:
    before = await begin(store, "one", "two")
    await database.run("CREATE TABLE touched (number INTEGER)")
    await database.run(
        "CREATE TRIGGER watch AFTER DELETE ON session_turns BEGIN INSERT INTO touched VALUES (old.number); END"
    )

    await store.write("ann", "s", before, writing("three", "four", kept=2), NOW + 5, LATER + 5)

    assert (await read(store)).remembered.turns == turns("one", "two", "three", "four")
    assert await store.info("ann", "s", NOW) == SessionInfo("s", NOW, NOW + 5, LATER + 5, 4)
    assert await database.run("SELECT number FROM touched") == []


async def test_what_is_told_differently_replaces_what_was_there(store: SessionStore) -> None:
    before = await begin(store, "one", "two", "three", "four")

    await store.write("ann", "s", before, writing("other", "five", kept=2), NOW, LATER)

    assert (await read(store)).remembered.turns == turns("one", "two", "other", "five")


async def test_its_size_is_that_of_all_it_holds(store: SessionStore) -> None:
    before = await begin(store, "one", "two", "three")
    assert before.bytes == sum(len(dump(turn)) for turn in turns("one", "two", "three"))

    await store.write("ann", "s", before, writing("2", system="é", kept=1), NOW, LATER)

    assert (await read(store)).bytes == len("é".encode()) + sum(len(dump(turn)) for turn in turns("one", "2"))


async def test_two_owners_may_use_one_id_and_never_meet(store: SessionStore) -> None:
    anns = await begin(store, "ann's", owner="ann")
    bobs = await begin(store, "bob's", owner="bob")

    assert anns.remembered.turns == turns("ann's")
    assert bobs.remembered.turns == turns("bob's")
    assert [info.turns for info in await store.infos("bob", NOW, 10)] == [1]
    assert (await store.totals("bob", NOW)).active == 1
    assert await store.delete("bob", "s", NOW)
    assert (await read(store)).remembered.turns == turns("ann's")


async def test_no_owner_can_write_into_another_s_session(store: SessionStore) -> None:
    anns = await begin(store, "ann's")

    with pytest.raises(SessionChanged):
        await store.write("bob", "s", anns, writing("bob's"), NOW, LATER)
    await store.touch("bob", anns.key, NOW + 1, LATER + 1)

    assert await read(store) == anns
    assert await store.info("ann", "s", NOW) == SessionInfo("s", NOW, NOW, LATER, 1)


async def test_a_session_deleted_meanwhile_is_not_written_and_leaves_nothing(
    store: SessionStore, database: Database
) -> None:
    before = await begin(store, "one", "two")
    assert await store.delete("ann", "s", NOW)

    with pytest.raises(SessionChanged):
        await store.write("ann", "s", before, writing("three", kept=2), NOW, LATER)

    assert await store.read("ann", "s", NOW) is None
    assert await rows(database) == 0
    assert not await store.delete("ann", "s", NOW)


async def test_a_session_deleted_and_begun_anew_is_another(store: SessionStore) -> None:
    before = await begin(store, "one", "two")
    await store.delete("ann", "s", NOW)
    await begin(store, "new")

    with pytest.raises(SessionChanged):
        await store.write("ann", "s", before, writing("three", kept=2), NOW, LATER)

    assert (await read(store)).remembered.turns == turns("new")


async def test_a_session_that_went_on_meanwhile_is_not_overwritten(store: SessionStore) -> None:
    before = await begin(store, "one", "two")
    await store.write("ann", "s", before, writing("three", "four", kept=2), NOW, LATER)

    with pytest.raises(SessionChanged):
        await store.write("ann", "s", before, writing("lost", "update", kept=2), NOW, LATER)

    assert (await read(store)).remembered.turns == turns("one", "two", "three", "four")


async def test_of_two_that_begin_one_session_the_second_is_refused(store: SessionStore) -> None:
    await begin(store, "first")

    with pytest.raises(SessionChanged):
        await begin(store, "second")


async def test_an_expired_session_is_none_at_once(store: SessionStore) -> None:
    await begin(store, "one", "two")

    assert await store.read("ann", "s", LATER) is None
    assert await store.info("ann", "s", LATER) is None
    assert await store.infos("ann", LATER, 10) == []
    assert not await store.delete("ann", "s", LATER)
    assert await store.totals("ann", LATER) == Totals(active=0, expired=1, turns=0, bytes=0, next_expiry=0)


async def test_an_expired_session_can_be_begun_anew_before_it_is_swept(store: SessionStore, database: Database) -> None:
    await begin(store, "old", "past")

    anew = await begin(store, "new", at=LATER)

    assert anew.remembered.turns == turns("new")
    assert await rows(database) == 1


async def test_a_use_extends_it(store: SessionStore) -> None:
    before = await begin(store, "one")

    await store.touch("ann", before.key, NOW + 60, LATER + 60)

    assert await store.info("ann", "s", LATER + 59) == SessionInfo("s", NOW, NOW + 60, LATER + 60, 1)


async def test_the_sweep_takes_every_expired_one_off_the_disk_and_no_other(
    store: SessionStore, database: Database
) -> None:
    for number in range(25):
        await begin(store, "old", owner=f"owner {number % 3}", id_=f"s{number}")
    await begin(store, "young", at=NOW + 1)

    assert await store.sweep(LATER, ()) == 25

    assert await rows(database) == 1
    assert (await store.totals("ann", NOW + 1)).active == 1


async def test_the_sweep_spares_what_a_request_has_at_the_moment(store: SessionStore) -> None:
    used = await begin(store, "one")
    await begin(store, "one", id_="other")

    assert await store.sweep(LATER, {used.key}) == 1

    await store.write("ann", "s", used, writing("two", kept=1), LATER, LATER + 3600)
    assert (await read(store, now=LATER)).remembered.turns == turns("one", "two")


async def test_those_used_last_are_listed_first_and_no_more_than_asked_for(store: SessionStore) -> None:
    for number in range(5):
        await begin(store, "one", id_=str(number), at=NOW + number)
    await store.touch("ann", (await read(store, id_="1")).key, NOW + 10, LATER)

    assert [info.id for info in await store.infos("ann", NOW + 4, 3)] == ["1", "4", "3"]


async def test_totals_count_what_a_key_has(store: SessionStore) -> None:
    first = await begin(store, "one", "two", id_="a", at=NOW + 7)
    second = await begin(store, "one", id_="b", at=NOW + 3)
    await begin(store, "past", id_="c", at=NOW - 3600)

    assert await store.totals("ann", NOW) == Totals(2, 1, 3, first.bytes + second.bytes, LATER + 3)


@pytest.mark.parametrize("id_", ["a/b", "100%", "%2F", "محادثة", "'; DROP TABLE sessions; --", "x" * 256, " "])
async def test_any_id_is_only_a_name(store: SessionStore, id_: str) -> None:
    await begin(store, "one", id_=id_)

    assert (await read(store, id_=id_)).remembered.turns == turns("one")
    assert await store.read("ann", id_ + "x", NOW) is None
