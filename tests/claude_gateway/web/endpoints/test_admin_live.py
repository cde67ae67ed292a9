"""Tests for `GET /v1/admin/live`, the live state of the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from claude_gateway.auth.key_store import KeyStore
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import open_database
from claude_gateway.web.context.state import STATE
from tests.claude_gateway.scripted import CHAT_BODY, ScriptedPool
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.endpoints.test_admin_keys import ADMIN_HEADERS, API_KEY, bearer, create_key
from tests.workers.helpers import TIMEOUT_SECONDS, with_timeout

LIMITS = SessionLimits(
    ttl_seconds=3600, max_sessions_per_key=100, max_bytes_per_session=100_000, max_bytes_per_key=200_000
)


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[SessionService]:
    async with open_database(tmp_path / "gateway.db") as database:
        yield SessionService(SessionStore(database), LIMITS, SessionLocks(10, TIMEOUT_SECONDS))


async def read_snapshot(response: ClientResponse) -> dict[str, Any]:
    """Read the next snapshot from the stream."""
    name, data = await with_timeout(response.content.readline()), await with_timeout(response.content.readline())
    assert await with_timeout(response.content.readline()) == b"\n"
    assert name == b"event: snapshot\n"
    return dict(json.loads(data.removeprefix(b"data: ")))


@pytest.mark.promise("admin.live")
async def test_sends_a_snapshot_immediately_and_another_after_each_change(
    serve_admin: Serve, sessions: SessionService
) -> None:
    pool = ScriptedPool(counts={"ready": 1})
    client = await serve_admin(None, pool, sessions=sessions, heartbeat_interval_seconds=30)

    async with client.get("/v1/admin/live") as response:
        assert response.content_type == "text/event-stream"
        first = await read_snapshot(response)
        assert first["workers"] == [
            {
                "pool": "chat",
                "pid": 100,
                "phase": "ready",
                "key_id": "environment",
                "group": None,
                "model": "claude-sonnet-4-5-20250929",
                "completed_jobs": 0,
                "memory_mib": 200,
            }
        ]
        assert first["queues"] == {kind: {"running": 0, "waiting": 0} for kind in ("chat", "agent")}
        assert first["sessions"] == []

        await client.post("/v1/chat/completions", json={**CHAT_BODY, "session_id": "mine"})
        second = await read_snapshot(response)
        assert [(entry["key_id"], entry["sessions"], entry["messages"]) for entry in second["sessions"]] == [
            ("environment", 1, 2)
        ]
        assert {**second, "sessions": []} == first


async def test_shows_the_group_of_a_process(serve_admin: Serve, sessions: SessionService) -> None:
    client = await serve_admin(None, ScriptedPool(counts={"ready": 1}, group="family"), sessions=sessions)

    async with client.get("/v1/admin/live") as response:
        (worker,) = (await read_snapshot(response))["workers"]

    assert (worker["key_id"], worker["group"]) == ("environment", "family")


async def test_shutdown_does_not_wait_for_watchers(serve_admin: Serve, sessions: SessionService) -> None:
    client = await serve_admin(sessions=sessions)

    async with client.get("/v1/admin/live") as response:
        await read_snapshot(response)
        client.app[STATE].shutdown.begin(asyncio.get_running_loop().time() + TIMEOUT_SECONDS, is_handover=False)
        assert await with_timeout(response.content.read()) == b""


async def test_requires_a_key(serve: Serve) -> None:
    client = await serve(api_key="k")

    assert (await client.get("/v1/admin/live")).status == 401


async def test_rejects_key_without_the_scope(serve: Serve, keys: KeyStore) -> None:
    client = await serve(api_key="k", keys=keys)
    created = await client.post("/v1/admin/keys", json={"name": "chats"}, headers={"x-api-key": "k"})

    response = await client.get("/v1/admin/live", headers={"x-api-key": (await created.json())["key"]})
    assert (response.status, (await response.json())["error"]["code"]) == (403, "missing_scope")


async def test_ends_when_its_key_is_revoked(serve: Serve, keys: KeyStore, sessions: SessionService) -> None:
    client = await serve(keys=keys, sessions=sessions, api_key=API_KEY)
    created = await create_key(client, scopes=["admin"])

    async with client.get("/v1/admin/live", headers=bearer(created)) as response:
        await read_snapshot(response)
        assert (await client.delete(f"/v1/admin/keys/{created['id']}", headers=ADMIN_HEADERS)).status == 200
        rest = (await with_timeout(response.text())).split("\n\n")

    assert rest[-2].startswith("event: error\ndata: ")
    assert "Missing or invalid API key." in rest[-2]
