"""A client of a gateway over a scripted dispatcher."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from claude_gateway.stores.db import DATABASE, open_database
from claude_gateway.stores.keys import KeyStore, open_keys
from tests.claude_gateway.scripted import HELLO, ScriptedDispatcher, ScriptedPool, scripted_app

Client = TestClient[web.Request, web.Application]
Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
def serve(aiohttp_client: AiohttpClient) -> Serve:
    """`await serve(dispatcher, **settings)`; without a dispatcher every job is answered "Hello"."""

    async def start(
        dispatcher: ScriptedDispatcher | None = None, pool: ScriptedPool | None = None, **changes: Any
    ) -> Client:
        """`fetcher` is one of the changes too."""
        app = scripted_app(dispatcher or ScriptedDispatcher.always(*HELLO), pool, **changes)
        return await aiohttp_client(app)

    return start


OWNERS_KEY = "key-of-the-owner"


@pytest.fixture
def serve_owner(serve: Serve) -> Serve:
    """As `serve`; each request of the client brings a key with every scope."""

    async def start(*parts: Any, **changes: Any) -> Client:
        client = await serve(*parts, api_key=OWNERS_KEY, **changes)
        client.session.headers["Authorization"] = f"Bearer {OWNERS_KEY}"
        return client

    return start


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def keys(state_dir: Path) -> AsyncIterator[KeyStore]:
    """The keys of a gateway, in a database in `state_dir`."""
    path = state_dir / DATABASE
    async with open_database(path) as database, open_keys(database, path) as store:
        yield store
