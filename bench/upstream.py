"""Run the fake Anthropic API until SIGTERM: `python -m bench.upstream`."""

import asyncio
import signal
import sys

import uvloop

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic


async def _run_until_terminated() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with run_fake_anthropic(record_requests=False) as upstream:
        sys.stderr.write(f"fake Anthropic API on {upstream.url}\n")
        sys.stderr.flush()
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(_run_until_terminated())
