"""What goes on in the gateway, for keys with the scope `admin`."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.stores.db import open_database
from claude_gateway.stores.keys import KeyStore
from claude_gateway.stores.sessions import SessionStore
from claude_gateway.web.parts import PARTS
from tests.claude_gateway.scripted import CHAT, ScriptedPool
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.test_admin_keys import API_KEY, OWNER, bearer, make
from tests.workers.helpers import PATIENCE, soon

LIMITS = SessionLimits(ttl=3600, per_key=100, bytes_each=100_000, bytes_per_key=200_000)


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[Sessions]:
    async with open_database(tmp_path / "gateway.db") as database:
        yield Sessions(SessionStore(database), LIMITS, Lines(10, PATIENCE))


async def snapshot(response: ClientResponse) -> dict[str, Any]:
    name, data = await soon(response.content.readline()), await soon(response.content.readline())
    assert await soon(response.content.readline()) == b"\n"
    assert name == b"event: snapshot\n"
    return dict(json.loads(data.removeprefix(b"data: ")))


@pytest.mark.promise("admin.live")
async def test_a_snapshot_comes_at_once_and_another_when_something_changed(
    serve_owner: Serve, sessions: Sessions
) -> None:
    pool = ScriptedPool(counts={"ready": 1})
    client = await serve_owner(None, pool, sessions=sessions, heartbeat_seconds=30)

    async with client.get("/v1/admin/live") as response:
        assert response.content_type == "text/event-stream"
        first = await snapshot(response)
        assert first["workers"] == [
            {
                "kind": "chat",
                "pid": 100,
                "phase": "ready",
                "key_id": "environment",
                "model": "claude-sonnet-4-5-20250929",
                "jobs": 0,
                "memory_mib": 200,
            }
        ]
        assert first["queues"] == {kind: {"running": 0, "waiting": 0} for kind in ("chat", "agent")}
        assert first["sessions"] == []

        await client.post("/v1/chat/completions", json={**CHAT, "session_id": "mine"})
        second = await snapshot(response)
        assert [(one["key_id"], one["sessions"], one["messages"]) for one in second["sessions"]] == [
            ("environment", 1, 2)
        ]
        assert {**second, "sessions": []} == first


async def test_a_gateway_that_stops_waits_for_no_watcher(serve_owner: Serve, sessions: Sessions) -> None:
    client = await serve_owner(sessions=sessions)

    async with client.get("/v1/admin/live") as response:
        await snapshot(response)
        client.app[PARTS].drain.begin(asyncio.get_running_loop().time() + PATIENCE, hands_over=False)
        assert await soon(response.content.read()) == b""


async def test_without_the_key_nothing_is_shown(serve: Serve) -> None:
    client = await serve(api_key="k")

    assert (await client.get("/v1/admin/live")).status == 401


async def test_a_key_without_the_scope_is_refused(serve: Serve, keys: KeyStore) -> None:
    client = await serve(api_key="k", keys=keys)
    made = await client.post("/v1/admin/keys", json={"name": "chats"}, headers={"x-api-key": "k"})

    response = await client.get("/v1/admin/live", headers={"x-api-key": (await made.json())["key"]})
    assert (response.status, (await response.json())["error"]["code"]) == (403, "missing_scope")


async def test_it_ends_when_its_key_is_revoked(serve: Serve, keys: KeyStore, sessions: Sessions) -> None:
    client = await serve(keys=keys, sessions=sessions, api_key=API_KEY)
    made = await make(client, scopes=["admin"])

    async with client.get("/v1/admin/live", headers=bearer(made)) as response:
        await snapshot(response)
        assert (await client.delete(f"/v1/admin/keys/{made['id']}", headers=OWNER)).status == 200
        rest = (await soon(response.text())).split("\n\n")

    assert rest[-2].startswith("event: error\ndata: ")
    assert "Missing or invalid API key." in rest[-2]
