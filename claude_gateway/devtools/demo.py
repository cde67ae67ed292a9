"""Command `claude-gateway demo`, which sends a chat through the gateway and the real CLI to the fake Anthropic API.

The client is the official OpenAI client. All connections are on loopback.
"""

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
from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, run_fake_anthropic
from workers.core.settings import AuthMethod

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_DEFAULT_PROMPT = (
    "{{pace 0.03}}Hello! I am a fake Anthropic API that echoes the prompt. Every word that you see passed through the "
    "official OpenAI client, this gateway, its queue, its pool and the real claude binary."
)
_DEMO_KEY = "demo-key"
_WORKER_COUNT = 2


def demo_settings(upstream_url: str, state_dir: Path) -> Settings:
    """Return the settings of the gateway in the demo.

    Args:
        upstream_url: The URL of the fake Anthropic API, to which the workers send their requests.
        state_dir: The directory in which the gateway stores its database and other state.
    """
    return FixedSettings(
        port=0,
        claude_wrapper_host="127.0.0.1",
        api_key=SecretStr(_DEMO_KEY),
        state_dir=state_dir,
        claude_auth_method=AuthMethod.API_KEY,
        anthropic_api_key=SecretStr(FAKE_API_KEY),
        anthropic_base_url=upstream_url,
        chat_workers=_WORKER_COUNT,
        chat_spare_workers=0,
        rate_limit_enabled=False,
    )


async def run_demo(prompt: str) -> int:
    """Send chats for warm-up and then a streamed chat, print when its tokens arrived, and return the exit status."""
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError
    except ImportError:
        print("The demo needs the openai package: run `make demo`, or `pip install openai`.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="claude-gateway-demo-") as directory:
        started_at = time.perf_counter()
        async with (
            run_fake_anthropic() as upstream,
            running_gateway(demo_settings(upstream.url, Path(directory))) as address,
        ):
            print(f"gateway    {address}  (ready in {time.perf_counter() - started_at:.2f} s)")
            print(f"upstream   {upstream.url}  (a fake Anthropic API; no account, no network)")
            http_client = DefaultAsyncHttpxClient(trust_env=False)  # ignore proxy settings on loopback
            async with AsyncOpenAI(
                base_url=f"{address}/v1", api_key=_DEMO_KEY, max_retries=0, http_client=http_client
            ) as client:
                for _ in range(2):  # the first reply of each process takes longer
                    await asyncio.gather(
                        *(_ask_streaming(client, "warm up", print_text=False) for _ in range(_WORKER_COUNT))
                    )
                print("reply      ", end="", flush=True)
                try:
                    arrivals, sent_at = await _ask_streaming(client, prompt or _DEFAULT_PROMPT, print_text=True)
                except OpenAIError as error:
                    print(f"\nthe request failed: {error}", file=sys.stderr)
                    return 1
                if not arrivals:
                    print("\nthe reply was empty", file=sys.stderr)
                    return 1
            recorded = upstream.chat_requests[-1]
        print(
            f"\nfirst token after {_format_ms(arrivals[0] - sent_at)}; "
            f"the fake API took {_format_ms(recorded.delta_sent_at[0] - recorded.received_at)} of that"
        )
        added = [arrived - sent for arrived, sent in zip(arrivals, recorded.delta_sent_at, strict=False)]
        print(f"added by CLI and gateway to each token: {_format_ms(statistics.median(added))} (median)")
    if running_pids := _child_pids():
        print(f"stopped, but these processes still run: {running_pids}", file=sys.stderr)
        return 1
    print("stopped; no process still runs")
    return 0


def _child_pids() -> list[str]:
    """Return the process ids of the children of this process that are still running."""
    own_pid = os.getpid()
    return Path(f"/proc/{own_pid}/task/{own_pid}/children").read_text().split()


async def _ask_streaming(client: "AsyncOpenAI", prompt: str, *, print_text: bool) -> tuple[list[float], float]:
    """Send a streaming chat request. Return the times at which the tokens arrived and the time of the request.

    Args:
        client: The OpenAI client.
        prompt: The prompt of the chat.
        print_text: Whether to print each token when it arrives.
    """
    sent_at = time.perf_counter()
    arrivals = []
    stream = await client.chat.completions.create(
        model="sonnet", messages=[{"role": "user", "content": prompt}], stream=True
    )
    async for chunk in stream:
        text = chunk.choices[0].delta.content if chunk.choices else None
        if text:
            arrivals.append(time.perf_counter())
            if print_text:
                print(text, end="", flush=True)
    return arrivals, sent_at


def _format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
