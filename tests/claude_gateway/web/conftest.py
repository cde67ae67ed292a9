"""Fixtures for clients of a gateway with scripted workers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from claude_gateway.auth.key_store import KeyStore, open_key_store
from claude_gateway.storage.database import DATABASE_FILE_NAME, open_database
from tests.claude_gateway.scripted import HELLO_EVENTS, ScriptedPool, ScriptedWorkerSource, build_scripted_app

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
def serve(aiohttp_client: AiohttpClient) -> Serve:
    """Return a function that starts a gateway and returns its client.

    `await serve(worker_source, **settings)`; without a worker source every reply is "Hello".
    """

    async def start(
        worker_source: ScriptedWorkerSource | None = None, pool: ScriptedPool | None = None, **changes: Any
    ) -> Client:
        """Start a gateway. `changes` are settings, or services such as `fetcher`."""
        app = build_scripted_app(worker_source or ScriptedWorkerSource.repeating(*HELLO_EVENTS), pool, **changes)
        return await aiohttp_client(app)

    return start


ADMIN_KEY = "key-of-the-operator"


@pytest.fixture
def serve_admin(serve: Serve) -> Serve:
    """Return a function like `serve`, whose clients send a key with every scope."""

    async def start(*arguments: Any, **changes: Any) -> Client:
        client = await serve(*arguments, api_key=ADMIN_KEY, **changes)
        client.session.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        return client

    return start


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def keys(state_dir: Path) -> AsyncIterator[KeyStore]:
    """Return the key store of a gateway, in a database in `state_dir`."""
    path = state_dir / DATABASE_FILE_NAME
    async with open_database(path) as database, open_key_store(database, path) as store:
        yield store
