"""Stored responses: a chain is written one link a turn, belongs to its key, and goes when nothing needs it any more."""

import asyncio
from pathlib import Path

import pytest

from claude_gateway.stores.db import Database, open_database
from claude_gateway.stores.responses import Link, ResponseStore, Room, Stored
from workers.job import Image, Text, Thought, ToolUse, Turn

ROOM = Room(ttl=100, responses=1_000, bytes=10**9)
OWNER = "owner"


@pytest.fixture
def store(database: Database) -> ResponseStore:
    return ResponseStore(database, ROOM)


def response(id_: str, *, status: str = "completed", size: int = 10) -> Stored:
    return Stored(id_, status, b'{"id":"%b"}' % id_.encode() + b" " * size, b"[]")


def link(text: str) -> Link:
    return Link((), (Turn("user", (Text(text),)), Turn("assistant", (Text(f"to {text}"),))))


async def add_chain(store: ResponseStore, *ids: str, now: float = 0, owner: str = OWNER) -> None:
    """Each goes on from the one before."""
    for number, id_ in enumerate(ids):
        parent = ids[number - 1] if number else None
        await store.add(owner, response(id_), link(id_), parent, [link(one) for one in ids[:number]], now)


async def said(store: ResponseStore, id_: str, now: float = 0) -> list[str]:
    """The user's words of the whole conversation."""
    found = await store.chain(OWNER, id_, now)
    assert found is not None
    return [
        block.text
        for one in found[1]
        for turn in one.turns
        for block in turn.blocks
        if turn.role == "user" and isinstance(block, Text)
    ]


async def rows(database: Database) -> set[str]:
    return {id_ for (id_,) in await database.run("SELECT id FROM responses")}


async def test_what_was_added_comes_back_as_it_was(store: ResponseStore) -> None:
    whole = Link(
        ("be brief",),
        (
            Turn("user", (Text("a\nb"), Image({"type": "base64", "media_type": "image/png", "data": "AA=="}))),
            Turn("assistant", (Thought("hm", "sig"), ToolUse("call_1", "f", {"a": ["\x00", "é"]}))),
        ),
    )
    await store.add(OWNER, response("a"), whole, None, [], 0)

    assert await store.get(OWNER, "a", 0) == response("a")
    assert await store.chain(OWNER, "a", 0) == ("completed", [whole])


@pytest.mark.promise("responses.chain")
async def test_a_chain_is_read_from_its_beginning_and_written_one_link_a_turn(
    store: ResponseStore, database: Database
) -> None:
    ids = [f"r{number}" for number in range(50)]
    await add_chain(store, *ids)

    assert await said(store, "r49") == ids
    sizes = [size for (size,) in await database.run("SELECT length(turns) FROM responses ORDER BY rowid")]
    assert max(sizes) - min(sizes) <= 4


async def test_two_chains_may_go_on_from_one_response(store: ResponseStore) -> None:
    await add_chain(store, "a", "b")
    await store.add(OWNER, response("c"), link("c"), "a", [link("a")], 0)

    assert (await said(store, "b"), await said(store, "c")) == (["a", "b"], ["a", "c"])


@pytest.mark.promise("responses.own-key")
async def test_another_key_sees_nothing_of_it(store: ResponseStore) -> None:
    await add_chain(store, "a")

    assert await store.get("another", "a", 0) is None
    assert await store.chain("another", "a", 0) is None
    assert not await store.delete("another", "a", 0)
    assert await store.get(OWNER, "a", 0) is not None


async def test_nothing_goes_on_from_another_key_s_response(store: ResponseStore) -> None:
    await add_chain(store, "a", owner="another")
    await store.add(OWNER, response("b"), link("b"), "a", [], 0)

    assert await said(store, "b") == ["b"]


@pytest.mark.promise("responses.chain")
async def test_what_was_deleted_is_gone_and_later_responses_go_on(store: ResponseStore, database: Database) -> None:
    await add_chain(store, "a", "b", "c")

    assert await store.delete(OWNER, "b", 0)

    assert await store.get(OWNER, "b", 0) is None
    assert await store.chain(OWNER, "b", 0) is None
    assert not await store.delete(OWNER, "b", 0)
    assert await said(store, "c") == ["a", "b", "c"]
    assert await database.run("SELECT object, items, events FROM responses WHERE id = 'b'") == [(None, None, None)]


@pytest.mark.promise("responses.chain")
async def test_what_was_deleted_goes_for_good_with_the_last_that_needed_it(
    store: ResponseStore, database: Database
) -> None:
    await add_chain(store, "a", "b", "c")
    await store.add(OWNER, response("d"), link("d"), "b", [link("a"), link("b")], 0)
    for id_, left in [("a", {"a", "b", "c", "d"}), ("b", {"a", "b", "c", "d"}), ("d", {"a", "b", "c"}), ("c", set())]:
        await store.delete(OWNER, id_, 0)
        assert await rows(database) == left


async def test_an_expired_response_is_none_and_is_swept_by_the_next(store: ResponseStore, database: Database) -> None:
    await add_chain(store, "a", now=0)
    await add_chain(store, "b", now=60)

    assert await store.get(OWNER, "a", 100) is None
    assert await store.chain(OWNER, "a", 100) is None
    await add_chain(store, "c", now=100)
    assert await rows(database) == {"b", "c"}


async def test_a_chain_outlives_the_time_of_its_beginning(store: ResponseStore) -> None:
    await add_chain(store, "a", now=0)
    await store.add(OWNER, response("b"), link("b"), "a", [link("a")], 90)
    await store.add(OWNER, response("c"), link("c"), "b", [link("a"), link("b")], 150)

    assert await said(store, "c", 160) == ["a", "b", "c"]


async def test_a_response_whose_parent_went_while_it_was_made_has_the_whole_conversation(store: ResponseStore) -> None:
    await add_chain(store, "a", "b")
    await store.delete(OWNER, "a", 0)
    await store.delete(OWNER, "b", 0)

    await store.add(OWNER, response("c"), link("c"), "b", [Link(("rule",), link("a").turns), link("b")], 0)

    found = await store.chain(OWNER, "c", 0)
    assert found == ("completed", [Link(("rule",), (*link("a").turns, *link("b").turns, *link("c").turns))])


@pytest.mark.promise("responses.bounded")
@pytest.mark.parametrize("room", [Room(100, responses=3, bytes=10**9), Room(100, responses=10**6, bytes=3_700)])
async def test_the_oldest_go_where_there_is_no_room_and_never_another_key_s(database: Database, room: Room) -> None:
    store = ResponseStore(database, room)
    await add_chain(store, "x", owner="another")
    for number in range(6):
        await store.add(OWNER, response(f"r{number}", size=1_000), link("hi"), None, [], number)

    assert await rows(database) == {"x", "r3", "r4", "r5"}


async def test_others_write_while_many_go_for_one(database: Database) -> None:
    store = ResponseStore(database, Room(10**6, responses=10**6, bytes=10**9))
    for number in range(700):
        await store.add(OWNER, response(f"r{number}"), link("hi"), None, [], number)
    small = ResponseStore(database, Room(10**6, responses=1, bytes=10**9))
    adding = asyncio.create_task(small.add(OWNER, response("new"), link("hi"), None, [], 1_000))
    left: list[int] = []
    while not adding.done():
        async with database.transaction() as run:
            ((count,),) = await run("SELECT count(*) FROM responses")
        left.append(count)

    assert await rows(database) == {"new"}
    assert len([count for count in left if 1 < count < 700]) >= 3


@pytest.mark.parametrize("size", [10, 300_000], ids=["small", "large"])
async def test_a_long_chain_goes_with_the_last_that_needs_it(database: Database, size: int) -> None:
    store = ResponseStore(database, ROOM)
    ids = [f"r{number}" for number in range(250 if size < 1_000 else 40)]
    for number, id_ in enumerate(ids):
        added = Link((), (Turn("user", (Text("x" * size),)),))
        await store.add(OWNER, response(id_), added, ids[number - 1] if number else None, [], 0)
    for id_ in ids[:-1]:
        await store.delete(OWNER, id_, 0)
    assert len(await rows(database)) == len(ids)

    await store.delete(OWNER, ids[-1], 0)

    assert await rows(database) == set()


async def test_a_chain_with_branches_goes_with_the_last_of_them(store: ResponseStore, database: Database) -> None:
    await add_chain(store, "a", "b")
    for id_ in ("c", "d", "e"):
        await store.add(OWNER, response(id_), link(id_), "b", [link("a"), link("b")], 0)
    small = ResponseStore(database, Room(100, responses=1, bytes=10**9))

    await small.add(OWNER, response("new"), link("hi"), None, [], 50)

    assert await rows(database) == {"new"}


async def test_what_a_stopped_gateway_had_yet_to_delete_goes_at_the_next_start(
    store: ResponseStore, database: Database
) -> None:
    await add_chain(store, "a", "b", "c", "d")
    await database.run("UPDATE responses SET object = NULL WHERE id != 'b'")

    await store.delete_unneeded()

    assert await rows(database) == {"a", "b"}


async def test_what_is_still_being_made_is_never_the_one_to_go(database: Database) -> None:
    store = ResponseStore(database, Room(5, responses=1, bytes=10**9))
    await store.add(OWNER, response("a", status="queued"), link("a"), None, [], 0)
    await add_chain(store, "b", now=10)

    assert await rows(database) == {"a", "b"}


async def test_what_was_made_in_the_background_is_finished_once(store: ResponseStore) -> None:
    await store.add(OWNER, response("a", status="queued"), Link((), link("a").turns[:1]), None, [], 0)
    done = Stored("a", "completed", b"{}", b"[]", b"log")

    assert [one.id for _, one in await store.unfinished()] == ["a"]
    assert await store.finish(OWNER, done, link("a").turns[1])
    assert await store.unfinished() == []
    assert await store.get(OWNER, "a", 0) == done
    assert await store.chain(OWNER, "a", 0) == ("completed", [link("a")])


async def test_what_was_deleted_in_the_meantime_is_not_finished(store: ResponseStore, database: Database) -> None:
    await store.add(OWNER, response("a", status="queued"), link("a"), None, [], 0)
    await store.delete(OWNER, "a", 0)

    assert not await store.finish(OWNER, response("a"), None)
    assert await rows(database) == set()


async def test_they_survive_a_restart(tmp_path: Path) -> None:
    async with open_database(tmp_path / "gateway.db") as first:
        await add_chain(ResponseStore(first, ROOM), "a", "b")
    async with open_database(tmp_path / "gateway.db") as second:
        assert await said(ResponseStore(second, ROOM), "b") == ["a", "b"]
