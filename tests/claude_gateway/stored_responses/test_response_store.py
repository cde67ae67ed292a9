"""Stored responses: a chain has one link per turn, belongs to its key, and is deleted with its last response."""

import asyncio
from pathlib import Path

import pytest

from claude_gateway.storage.database import Database, open_database
from claude_gateway.stored_responses.response_store import ChainLink, ResponseLimits, ResponseStore, StoredResponse
from workers.core.job import Image, Text, ThinkingBlock, ToolUse, Turn

LIMITS = ResponseLimits(ttl_seconds=100, max_responses=1_000, max_bytes=10**9)
KEY_ID = "ann"


@pytest.fixture
def store(database: Database) -> ResponseStore:
    return ResponseStore(database, LIMITS)


def create_response(id_: str, *, status: str = "completed", size: int = 10) -> StoredResponse:
    return StoredResponse(id_, status, b'{"id":"%b"}' % id_.encode() + b" " * size, b"[]")


def create_link(text: str) -> ChainLink:
    return ChainLink((), (Turn("user", (Text(text),)), Turn("assistant", (Text(f"to {text}"),))))


async def add_chain(store: ResponseStore, *ids: str, now: float = 0, key_id: str = KEY_ID) -> None:
    """Add responses of which each continues the one before."""
    for number, id_ in enumerate(ids):
        parent = ids[number - 1] if number else None
        await store.add(
            key_id,
            create_response(id_),
            create_link(id_),
            parent,
            [create_link(earlier_id) for earlier_id in ids[:number]],
            now,
        )


async def read_texts(store: ResponseStore, id_: str, now: float = 0) -> list[str]:
    """Return the user's texts of the whole conversation."""
    chain = await store.get_chain(KEY_ID, id_, now)
    assert chain is not None
    return [
        block.text
        for link in chain[1]
        for turn in link.turns
        for block in turn.blocks
        if turn.role == "user" and isinstance(block, Text)
    ]


async def read_ids(database: Database) -> set[str]:
    return {id_ for (id_,) in await database.execute("SELECT id FROM responses")}


async def test_reads_what_was_added(store: ResponseStore) -> None:
    full_link = ChainLink(
        ("be brief",),
        (
            Turn("user", (Text("a\nb"), Image({"type": "base64", "media_type": "image/png", "data": "AA=="}))),
            Turn("assistant", (ThinkingBlock("hm", "sig"), ToolUse("call_1", "f", {"a": ["\x00", "é"]}))),
        ),
    )
    await store.add(KEY_ID, create_response("a"), full_link, None, [], 0)

    assert await store.get(KEY_ID, "a", 0) == create_response("a")
    assert await store.get_chain(KEY_ID, "a", 0) == ("completed", [full_link])


@pytest.mark.promise("responses.chain")
async def test_reads_chain_from_its_beginning_and_writes_one_link_per_turn(
    store: ResponseStore, database: Database
) -> None:
    ids = [f"r{number}" for number in range(50)]
    await add_chain(store, *ids)

    assert await read_texts(store, "r49") == ids
    sizes = [size for (size,) in await database.execute("SELECT length(turns) FROM responses ORDER BY rowid")]
    assert max(sizes) - min(sizes) <= 4


async def test_two_chains_may_continue_one_response(store: ResponseStore) -> None:
    await add_chain(store, "a", "b")
    await store.add(KEY_ID, create_response("c"), create_link("c"), "a", [create_link("a")], 0)

    assert (await read_texts(store, "b"), await read_texts(store, "c")) == (["a", "b"], ["a", "c"])


@pytest.mark.promise("responses.own-key")
async def test_hides_response_from_other_keys(store: ResponseStore) -> None:
    await add_chain(store, "a")

    assert await store.get("another", "a", 0) is None
    assert await store.get_chain("another", "a", 0) is None
    assert not await store.delete("another", "a", 0)
    assert await store.get(KEY_ID, "a", 0) is not None


async def test_does_not_continue_the_response_of_another_key(store: ResponseStore) -> None:
    await add_chain(store, "a", key_id="another")
    await store.add(KEY_ID, create_response("b"), create_link("b"), "a", [], 0)

    assert await read_texts(store, "b") == ["b"]


@pytest.mark.promise("responses.chain")
async def test_deleted_response_is_gone_and_later_ones_continue(store: ResponseStore, database: Database) -> None:
    await add_chain(store, "a", "b", "c")

    assert await store.delete(KEY_ID, "b", 0)

    assert await store.get(KEY_ID, "b", 0) is None
    assert await store.get_chain(KEY_ID, "b", 0) is None
    assert not await store.delete(KEY_ID, "b", 0)
    assert await read_texts(store, "c") == ["a", "b", "c"]
    assert await database.execute("SELECT object, items, events FROM responses WHERE id = 'b'") == [(None, None, None)]


@pytest.mark.promise("responses.chain")
async def test_removes_deleted_response_with_the_last_one_that_continues_it(
    store: ResponseStore, database: Database
) -> None:
    await add_chain(store, "a", "b", "c")
    await store.add(KEY_ID, create_response("d"), create_link("d"), "b", [create_link("a"), create_link("b")], 0)
    for id_, expected_ids in [
        ("a", {"a", "b", "c", "d"}),
        ("b", {"a", "b", "c", "d"}),
        ("d", {"a", "b", "c"}),
        ("c", set()),
    ]:
        await store.delete(KEY_ID, id_, 0)
        assert await read_ids(database) == expected_ids


async def test_expired_response_does_not_exist_and_is_deleted_by_the_next_write(
    store: ResponseStore, database: Database
) -> None:
    await add_chain(store, "a", now=0)
    await add_chain(store, "b", now=60)

    assert await store.get(KEY_ID, "a", 100) is None
    assert await store.get_chain(KEY_ID, "a", 100) is None
    await add_chain(store, "c", now=100)
    assert await read_ids(database) == {"b", "c"}


async def test_chain_outlives_the_expiry_of_its_beginning(store: ResponseStore) -> None:
    await add_chain(store, "a", now=0)
    await store.add(KEY_ID, create_response("b"), create_link("b"), "a", [create_link("a")], 90)
    await store.add(KEY_ID, create_response("c"), create_link("c"), "b", [create_link("a"), create_link("b")], 150)

    assert await read_texts(store, "c", 160) == ["a", "b", "c"]


async def test_response_stores_the_whole_conversation_if_its_parent_was_deleted_meanwhile(store: ResponseStore) -> None:
    await add_chain(store, "a", "b")
    await store.delete(KEY_ID, "a", 0)
    await store.delete(KEY_ID, "b", 0)

    await store.add(
        KEY_ID,
        create_response("c"),
        create_link("c"),
        "b",
        [ChainLink(("rule",), create_link("a").turns), create_link("b")],
        0,
    )

    chain = await store.get_chain(KEY_ID, "c", 0)
    assert chain == (
        "completed",
        [ChainLink(("rule",), (*create_link("a").turns, *create_link("b").turns, *create_link("c").turns))],
    )


@pytest.mark.promise("responses.bounded")
@pytest.mark.parametrize(
    "limits",
    [ResponseLimits(100, max_responses=3, max_bytes=10**9), ResponseLimits(100, max_responses=10**6, max_bytes=3_700)],
)
async def test_evicts_oldest_responses_of_the_same_key_only(database: Database, limits: ResponseLimits) -> None:
    store = ResponseStore(database, limits)
    await add_chain(store, "x", key_id="another")
    for number in range(6):
        await store.add(KEY_ID, create_response(f"r{number}", size=1_000), create_link("hi"), None, [], number)

    assert await read_ids(database) == {"x", "r3", "r4", "r5"}


async def test_other_writes_run_during_a_large_eviction(database: Database) -> None:
    store = ResponseStore(database, ResponseLimits(10**6, max_responses=10**6, max_bytes=10**9))
    for number in range(700):
        await store.add(KEY_ID, create_response(f"r{number}"), create_link("hi"), None, [], number)
    small = ResponseStore(database, ResponseLimits(10**6, max_responses=1, max_bytes=10**9))
    adding = asyncio.create_task(small.add(KEY_ID, create_response("new"), create_link("hi"), None, [], 1_000))
    counts: list[int] = []
    while not adding.done():
        async with database.transaction() as run:
            ((count,),) = await run("SELECT count(*) FROM responses")
        counts.append(count)

    assert await read_ids(database) == {"new"}
    assert len([count for count in counts if 1 < count < 700]) >= 3


@pytest.mark.parametrize("size", [10, 300_000], ids=["small", "large"])
async def test_removes_long_chain_with_the_last_response_that_needs_it(database: Database, size: int) -> None:
    store = ResponseStore(database, LIMITS)
    ids = [f"r{number}" for number in range(250 if size < 1_000 else 40)]
    for number, id_ in enumerate(ids):
        link = ChainLink((), (Turn("user", (Text("x" * size),)),))
        await store.add(KEY_ID, create_response(id_), link, ids[number - 1] if number else None, [], 0)
    for id_ in ids[:-1]:
        await store.delete(KEY_ID, id_, 0)
    assert len(await read_ids(database)) == len(ids)

    await store.delete(KEY_ID, ids[-1], 0)

    assert await read_ids(database) == set()


async def test_removes_branched_chain_with_the_last_of_its_branches(store: ResponseStore, database: Database) -> None:
    await add_chain(store, "a", "b")
    for id_ in ("c", "d", "e"):
        await store.add(KEY_ID, create_response(id_), create_link(id_), "b", [create_link("a"), create_link("b")], 0)
    small = ResponseStore(database, ResponseLimits(100, max_responses=1, max_bytes=10**9))

    await small.add(KEY_ID, create_response("new"), create_link("hi"), None, [], 50)

    assert await read_ids(database) == {"new"}


async def test_next_start_completes_an_interrupted_deletion(store: ResponseStore, database: Database) -> None:
    await add_chain(store, "a", "b", "c", "d")
    await database.execute("UPDATE responses SET object = NULL WHERE id != 'b'")

    await store.delete_unreferenced()

    assert await read_ids(database) == {"a", "b"}


async def test_never_evicts_a_running_response(database: Database) -> None:
    store = ResponseStore(database, ResponseLimits(5, max_responses=1, max_bytes=10**9))
    await store.add(KEY_ID, create_response("a", status="queued"), create_link("a"), None, [], 0)
    await add_chain(store, "b", now=10)

    assert await read_ids(database) == {"a", "b"}


async def test_completes_background_response_once(store: ResponseStore) -> None:
    await store.add(
        KEY_ID, create_response("a", status="queued"), ChainLink((), create_link("a").turns[:1]), None, [], 0
    )
    completed = StoredResponse("a", "completed", b"{}", b"[]", b"log")

    assert [response.id for _, response in await store.list_unfinished()] == ["a"]
    assert await store.finish(KEY_ID, completed, create_link("a").turns[1])
    assert await store.list_unfinished() == []
    assert await store.get(KEY_ID, "a", 0) == completed
    assert await store.get_chain(KEY_ID, "a", 0) == ("completed", [create_link("a")])


async def test_does_not_complete_a_response_deleted_meanwhile(store: ResponseStore, database: Database) -> None:
    await store.add(KEY_ID, create_response("a", status="queued"), create_link("a"), None, [], 0)
    await store.delete(KEY_ID, "a", 0)

    assert not await store.finish(KEY_ID, create_response("a"), None)
    assert await read_ids(database) == set()


async def test_responses_survive_a_restart(tmp_path: Path) -> None:
    async with open_database(tmp_path / "gateway.db") as first:
        await add_chain(ResponseStore(first, LIMITS), "a", "b")
    async with open_database(tmp_path / "gateway.db") as second:
        assert await read_texts(ResponseStore(second, LIMITS), "b") == ["a", "b"]
