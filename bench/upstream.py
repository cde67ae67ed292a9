"""`python -m bench.upstream`: the stand-in in a process of its own, until it is terminated."""

import asyncio
import signal
import sys

import uvloop

from claude_gateway.demo.upstream import stand_in


async def _run() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with stand_in(remember=False) as upstream:
        sys.stderr.write(f"stand-in on {upstream.url}\n")
        sys.stderr.flush()
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(_run())
