"""A gateway on the real `claude` binary, in front of the stand-in upstream; shared by the tests of a module."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic import SecretStr

from claude_gateway.app import running_gateway
from claude_gateway.config import FixedSettings, Settings
from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn, stand_in
from workers.settings import AuthMethod

API_KEY = "a-key-of-the-tests"
MODEL = "claude-sonnet-4-5-20250929"


@dataclass(frozen=True)
class Gateway:
    url: str
    upstream: StandIn
    client: AsyncOpenAI

    async def ask(self, *messages: dict[str, Any] | str, **parameters: Any) -> Any:
        """A completion, whole or streamed as the parameters say; a bare string is a user message."""
        return await self.client.chat.completions.create(
            model=parameters.pop("model", MODEL), messages=[_message(one) for one in messages], **parameters
        )

    async def stream_text(self, *messages: dict[str, Any] | str, **parameters: Any) -> str:
        """The text of a streamed answer, put together as a caller would."""
        stream = await self.ask(*messages, stream=True, **parameters)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


def _message(one: dict[str, Any] | str) -> dict[str, Any]:
    return {"role": "user", "content": one} if isinstance(one, str) else one


def settings(upstream: StandIn, state_dir: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "port": 0,
        "claude_wrapper_host": "127.0.0.1",
        "api_key": SecretStr(API_KEY),
        "state_dir": state_dir,
        "claude_auth_method": AuthMethod.API_KEY,
        "anthropic_api_key": SecretStr(STAND_IN_KEY),
        "anthropic_base_url": upstream.url,
        "default_model": MODEL,
        "chat_workers": 2,
        "chat_spare_workers": 0,
        "rate_limit_enabled": False,
    }
    return FixedSettings(**values | changes)


@asynccontextmanager
async def gateway_on(upstream: StandIn, state_dir: Path, **changes: Any) -> AsyncIterator[Gateway]:
    async with (
        running_gateway(settings(upstream, state_dir, **changes)) as url,
        AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key=API_KEY,
            max_retries=0,
            timeout=30,
            http_client=DefaultAsyncHttpxClient(trust_env=False),
        ) as client,
    ):
        yield Gateway(url, upstream, client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    async with stand_in() as upstream, gateway_on(upstream, tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(shared_gateway: Gateway) -> Gateway:
    """The module's gateway; the stand-in remembers nothing of the test before."""
    shared_gateway.upstream.forget()
    return shared_gateway
