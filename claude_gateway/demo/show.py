"""`claude-gateway demo`: the whole chain on loopback, shown to a person."""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from claude_gateway.app import running_gateway
from claude_gateway.config import FixedSettings, Settings
from claude_gateway.demo.upstream import STAND_IN_KEY, stand_in
from workers.settings import AuthMethod

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_PROMPT = (
    "{{pace 0.03}}Hello! I am a stand-in that echoes. Between us stand the official OpenAI client, this gateway, "
    "its queue, its pool and the real claude binary, and every word you see came through all of them."
)
_DEMO_KEY = "demo-key"
_WORKERS = 2


def demo_settings(upstream: str, state_dir: Path) -> Settings:
    """A gateway on a free loopback port, whose workers know the stand-in alone."""
    return FixedSettings(
        port=0,
        claude_wrapper_host="127.0.0.1",
        api_key=SecretStr(_DEMO_KEY),
        state_dir=state_dir,
        claude_auth_method=AuthMethod.API_KEY,
        anthropic_api_key=SecretStr(STAND_IN_KEY),
        anthropic_base_url=upstream,
        chat_workers=_WORKERS,
        chat_spare_workers=0,
        rate_limit_enabled=False,
    )


async def run_demo(prompt: str) -> int:
    """One warm-up, then one streamed chat with its times. Returns the exit status."""
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError
    except ImportError:
        print("The demo needs the openai package: run `make demo`, or `pip install openai`.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="claude-gateway-demo-") as directory:
        began = time.perf_counter()
        async with stand_in() as upstream, running_gateway(demo_settings(upstream.url, Path(directory))) as address:
            print(f"gateway    {address}  (ready in {time.perf_counter() - began:.2f} s)")
            print(f"upstream   {upstream.url}  (a stand-in; no account, no network)")
            direct = DefaultAsyncHttpxClient(trust_env=False)  # no proxy stands between this machine and itself
            async with AsyncOpenAI(
                base_url=f"{address}/v1", api_key=_DEMO_KEY, max_retries=0, http_client=direct
            ) as client:
                for _ in range(2):  # the first answer of each process is slower than all later ones
                    await asyncio.gather(*(_ask(client, "warm up", show=False) for _ in range(_WORKERS)))
                print("answer     ", end="", flush=True)
                try:
                    arrivals, asked = await _ask(client, prompt or _PROMPT, show=True)
                except OpenAIError as error:
                    print(f"\nthe answer was an error: {error}", file=sys.stderr)
                    return 1
                if not arrivals:
                    print("\nthe answer was empty", file=sys.stderr)
                    return 1
            seen = upstream.chats[-1]
        print(
            f"\nfirst token after {_ms(arrivals[0] - asked)}; the stand-in took {_ms(seen.sent[0] - seen.at)} of that"
        )
        added = [arrived - left for arrived, left in zip(arrivals, seen.sent, strict=False)]
        print(f"added by CLI and gateway to each token: {_ms(statistics.median(added))} (median)")
    if left := _children():
        print(f"stopped, but these processes are left: {left}", file=sys.stderr)
        return 1
    print("stopped; no process is left")
    return 0


def _children() -> list[str]:
    """The processes that this one started and that are still there."""
    own = os.getpid()
    return Path(f"/proc/{own}/task/{own}/children").read_text().split()


async def _ask(client: "AsyncOpenAI", prompt: str, *, show: bool) -> tuple[list[float], float]:
    """When each token arrived and when the question was asked, by the same clock."""
    asked = time.perf_counter()
    arrivals = []
    stream = await client.chat.completions.create(
        model="sonnet", messages=[{"role": "user", "content": prompt}], stream=True
    )
    async for chunk in stream:
        text = chunk.choices[0].delta.content if chunk.choices else None
        if text:
            arrivals.append(time.perf_counter())
            if show:
                print(text, end="", flush=True)
    return arrivals, asked


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
