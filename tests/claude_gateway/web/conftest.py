"""A client of a gateway over a scripted dispatcher."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

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
