"""What is remembered has room in memory before it is read, and each key its share of that."""

import asyncio
from pathlib import Path

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.loaded_memory import LoadedMemory
from claude_gateway.responses.register import Responses
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.stores import responses as stored_responses
from claude_gateway.stores.db import Database
from claude_gateway.stores.responses import Link, ResponseStore, Room, Stored
from claude_gateway.stores.sessions import SessionStore, Writing
from claude_gateway.stores.turns import dump
from claude_gateway.web.body_memory import BodyMemory
from tests.workers.helpers import PATIENCE, user

NOW = 1_000_000.0
TOTAL = 1_000_000
LARGE = 400_000
ROOM = Room(ttl=100, responses=100, bytes=10**9)


@pytest.fixture
def memory() -> BodyMemory:
    return BodyMemory(TOTAL)


async def sessions_of(database: Database, memory: BodyMemory) -> Sessions:
    store = SessionStore(database)
    for owner in ("ann", "bob"):
        for id_ in ("1", "2"):
            await store.write(owner, id_, None, Writing("", 0, [dump(user("x" * LARGE))]), NOW, NOW + 99)
    limits = SessionLimits(99, 9, 10**9, 10**9)
    return Sessions(store, limits, Lines(9, PATIENCE), lambda: NOW, memory=LoadedMemory(memory, 0))


@pytest.mark.promise("memory.remembered")
async def test_sessions_of_a_key_are_in_memory_up_to_its_share_and_others_have_theirs(
    database: Database, memory: BodyMemory
) -> None:
    sessions = await sessions_of(database, memory)
    async with sessions.open("ann", "1") as session:
        assert len(session.remembered.turns) == 1
        with pytest.raises(ApiError) as refused:
            async with sessions.open("ann", "2"):
                pass
        assert (refused.value.status, refused.value.code) == (503, "request_memory_full")
        assert refused.value.retry_after
        async with sessions.open("bob", "1"):
            assert memory.used > 2 * LARGE
    assert memory.used == 0
    async with sessions.open("ann", "2"):
        pass


@pytest.mark.promise("memory.remembered")
async def test_a_conversation_has_room_for_as_long_as_a_request_goes_on_from_it(
    database: Database, memory: BodyMemory
) -> None:
    store = ResponseStore(database, ROOM)
    link = Link((), (user("x" * LARGE),))
    await store.add("ann", Stored("resp_1", "completed", b'{"output":[]}', b"[]"), link, None, [], NOW)
    responses = Responses(store, b"seal", lambda: NOW, LoadedMemory(memory, 0))
    recalled = await responses.recall("ann", "resp_1", [])
    with pytest.raises(ApiError, match="REQUEST_MEMORY_MIB"):
        await responses.recall("ann", "resp_1", [])
    assert memory.used > LARGE

    assert len(recalled.past.said.messages) == 1
    recalled.release()
    recalled.release()
    assert memory.used == 0

    recalled = await responses.recall("ann", "resp_1", [])
    del recalled
    await asyncio.sleep(0)
    assert memory.used == 0


async def test_what_cannot_be_read_gives_its_room_back(database: Database, memory: BodyMemory) -> None:
    store = ResponseStore(database, ROOM)
    link = Link((), (user("x" * LARGE),))
    await store.add("ann", Stored("resp_1", "failed", b"{}", b"[]"), link, None, [], NOW)
    responses = Responses(store, b"seal", lambda: NOW, LoadedMemory(memory, 0))
    for previous in ("resp_1", "resp_2"):
        with pytest.raises(ApiError) as refused:
            await responses.recall("ann", previous, [])
        assert refused.value.status == 400
    assert memory.used == 0


async def test_a_conversation_that_is_too_large_is_refused_before_it_is_read(
    database: Database, memory: BodyMemory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stored_responses, "_MAX_CHAIN_BYTES", 2 * LARGE)
    store = ResponseStore(database, ROOM)
    for number in range(3):
        link = Link((), (user("x" * LARGE),))
        stored = Stored(f"resp_{number}", "completed", b'{"output":[]}', b"[]")
        await store.add("ann", stored, link, f"resp_{number - 1}" if number else None, [], NOW)
    responses = Responses(store, b"seal", lambda: NOW, LoadedMemory(BodyMemory(10**9), 0))
    await responses.recall("ann", "resp_0", [])
    with pytest.raises(ApiError, match="too large") as refused:
        await responses.recall("ann", "resp_2", [])
    assert (refused.value.status, refused.value.code) == (400, "previous_response_not_found")
