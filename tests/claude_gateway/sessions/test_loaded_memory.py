"""Memory reservations for stored conversations that requests load."""

import asyncio
from pathlib import Path

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.sessions.loaded_memory import LoadedMemory
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionChange, SessionStore
from claude_gateway.sessions.turn_codec import encode_turn
from claude_gateway.storage.database import Database
from claude_gateway.stored_responses import response_store as stored_responses
from claude_gateway.stored_responses.response_store import ChainLink, ResponseLimits, ResponseStore, StoredResponse
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.web.context.body_memory import BodyMemory
from tests.workers.helpers import TIMEOUT_SECONDS, user_turn

NOW = 1_000_000.0
TOTAL = 1_000_000
LARGE = 400_000
RESPONSE_LIMITS = ResponseLimits(ttl_seconds=100, max_responses=100, max_bytes=10**9)


@pytest.fixture
def memory() -> BodyMemory:
    return BodyMemory(TOTAL)


async def create_sessions(database: Database, memory: BodyMemory) -> SessionService:
    store = SessionStore(database)
    for key_id in ("ann", "bob"):
        for id_ in ("1", "2"):
            await store.write(
                key_id, id_, None, SessionChange("", 0, [encode_turn(user_turn("x" * LARGE))]), NOW, NOW + 99
            )
    limits = SessionLimits(99, 9, 10**9, 10**9)
    return SessionService(
        store, limits, SessionLocks(9, TIMEOUT_SECONDS), lambda: NOW, loaded_memory=LoadedMemory(memory, 0)
    )


@pytest.mark.promise("memory.loaded-conversations")
async def test_limits_loaded_conversations_per_key(database: Database, memory: BodyMemory) -> None:
    sessions = await create_sessions(database, memory)
    async with sessions.open_session("ann", "1") as session:
        assert len(session.history.turns) == 1
        with pytest.raises(ApiError) as raised:
            async with sessions.open_session("ann", "2"):
                pass
        assert (raised.value.status, raised.value.code) == (503, "request_memory_exhausted")
        assert raised.value.retry_after
        async with sessions.open_session("bob", "1"):
            assert memory.used_bytes > 2 * LARGE
    assert memory.used_bytes == 0
    async with sessions.open_session("ann", "2"):
        pass


@pytest.mark.promise("memory.loaded-conversations")
async def test_reserves_memory_while_a_request_continues_the_conversation(
    database: Database, memory: BodyMemory
) -> None:
    store = ResponseStore(database, RESPONSE_LIMITS)
    link = ChainLink((), (user_turn("x" * LARGE),))
    await store.add("ann", StoredResponse("resp_1", "completed", b'{"output":[]}', b"[]"), link, None, [], NOW)
    responses = ResponseService(store, b"seal", lambda: NOW, LoadedMemory(memory, 0))
    context = await responses.load_context("ann", "resp_1", [])
    with pytest.raises(ApiError, match="MAX_REQUEST_MEMORY_MIB"):
        await responses.load_context("ann", "resp_1", [])
    assert memory.used_bytes > LARGE

    assert len(context.history.conversation.messages) == 1
    context.release()
    context.release()
    assert memory.used_bytes == 0

    context = await responses.load_context("ann", "resp_1", [])
    del context
    await asyncio.sleep(0)
    assert memory.used_bytes == 0


async def test_releases_memory_if_loading_fails(database: Database, memory: BodyMemory) -> None:
    store = ResponseStore(database, RESPONSE_LIMITS)
    link = ChainLink((), (user_turn("x" * LARGE),))
    await store.add("ann", StoredResponse("resp_1", "failed", b"{}", b"[]"), link, None, [], NOW)
    responses = ResponseService(store, b"seal", lambda: NOW, LoadedMemory(memory, 0))
    for previous_id in ("resp_1", "resp_2"):
        with pytest.raises(ApiError) as raised:
            await responses.load_context("ann", previous_id, [])
        assert raised.value.status == 400
    assert memory.used_bytes == 0


async def test_rejects_too_large_conversation_before_loading_it(
    database: Database, memory: BodyMemory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stored_responses, "_MAX_CHAIN_BYTES", 2 * LARGE)
    store = ResponseStore(database, RESPONSE_LIMITS)
    for number in range(3):
        link = ChainLink((), (user_turn("x" * LARGE),))
        stored = StoredResponse(f"resp_{number}", "completed", b'{"output":[]}', b"[]")
        await store.add("ann", stored, link, f"resp_{number - 1}" if number else None, [], NOW)
    responses = ResponseService(store, b"seal", lambda: NOW, LoadedMemory(BodyMemory(10**9), 0))
    await responses.load_context("ann", "resp_0", [])
    with pytest.raises(ApiError, match="too large") as raised:
        await responses.load_context("ann", "resp_2", [])
    assert (raised.value.status, raised.value.code) == (400, "previous_response_not_found")
