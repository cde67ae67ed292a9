"""A gateway with the real `claude` binary in front of the fake Anthropic API, run inside the test process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic import SecretStr

from claude_gateway.app import running_gateway
from claude_gateway.config import FixedSettings, Settings
from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic
from workers.core.settings import AuthMethod

API_KEY = "a-key-of-the-tests"
MODEL = "claude-sonnet-4-5-20250929"


@dataclass(frozen=True)
class Gateway:
    url: str
    upstream: FakeAnthropic
    client: AsyncOpenAI

    async def ask(self, *messages: dict[str, Any] | str, **parameters: Any) -> Any:
        """Return a chat completion, whole or streamed as `parameters` say. A bare string is a user message."""
        return await self.client.chat.completions.create(
            model=parameters.pop("model", MODEL), messages=[_to_message(one) for one in messages], **parameters
        )

    async def stream_text(self, *messages: dict[str, Any] | str, **parameters: Any) -> str:
        """Return the text of a streamed reply, joined as a client joins it."""
        stream = await self.ask(*messages, stream=True, **parameters)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


def _to_message(message: dict[str, Any] | str) -> dict[str, Any]:
    return {"role": "user", "content": message} if isinstance(message, str) else message


def gateway_settings(upstream: FakeAnthropic, state_dir: Path, **overrides: Any) -> Settings:
    values: dict[str, Any] = {
        "port": 0,
        "claude_wrapper_host": "127.0.0.1",
        "api_key": SecretStr(API_KEY),
        "state_dir": state_dir,
        "anthropic_base_url": upstream.url,
        "default_model": MODEL,
        "chat_workers": 2,
        "chat_spare_workers": 0,
        "rate_limit_enabled": False,
    }
    if "logins_file" not in overrides:
        values |= {"claude_auth_method": AuthMethod.API_KEY, "anthropic_api_key": SecretStr(FAKE_API_KEY)}
    values |= overrides
    # The number of processes does not grow, so a test knows whether its jobs share a process.
    values.setdefault("max_chat_processes", values["chat_workers"] + values["chat_spare_workers"])
    return FixedSettings(**values)


@asynccontextmanager
async def run_gateway_on(upstream: FakeAnthropic, state_dir: Path, **overrides: Any) -> AsyncIterator[Gateway]:
    settings = await asyncio.to_thread(gateway_settings, upstream, state_dir, **overrides)  # it may read LOGINS_FILE
    async with (
        running_gateway(settings) as url,
        AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key=API_KEY,
            max_retries=0,
            timeout=100,
            http_client=DefaultAsyncHttpxClient(trust_env=False),
        ) as client,
    ):
        yield Gateway(url, upstream, client)
