"""Fixtures: a gateway that runs the real `claude` binary in front of the fake Anthropic API, one for each module."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import Gateway, run_gateway_on


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(shared_gateway: Gateway) -> Gateway:
    """Return the module's gateway, and clear the requests that its upstream recorded in earlier tests."""
    shared_gateway.upstream.clear()
    return shared_gateway
