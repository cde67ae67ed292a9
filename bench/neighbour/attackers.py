"""`python -m bench.neighbour.attackers URL KEY BODY_BYTES NAME,…`: the attacks, in a process of their own.

It says "ready" on stderr, begins when it reads a line, ends at the end of its input, and writes what came back as JSON.
It is nice: the attackers of a real gateway have processors of their own.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

from bench.neighbour.attacks import ATTACKS, World, client_of, make_bodies, mcp_messages
from bench.neighbour.mcp_server import hostile_server
from workers.priority import set_session_niceness

_NICENESS = 15
_AGAIN_SECONDS = 0.05


async def run(url: str, key: str, body_bytes: int, names: list[str]) -> dict[str, dict[str, int]]:
    """Attack until the input ends; how often each attack saw each status."""
    async with hostile_server(body_bytes) as mcp_url, client_of(key) as http:
        world = World(url, key, http, mcp_url, make_bodies(body_bytes))
        # The library that speaks MCP is loaded once, with the first server, and stays.
        await mcp_messages(world)
        world.seen.clear()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        sys.stderr.write("ready\n")
        sys.stderr.flush()
        await reader.readline()
        running = [asyncio.create_task(_again_and_again(world, name, ATTACKS[name])) for name in names]
        await reader.read()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return {name: dict(seen) for name, seen in sorted(world.seen.items())}


async def _again_and_again(world: World, name: str, attack: Callable[[World], Awaitable[None]]) -> None:
    while True:
        try:
            await attack(world)
            world.note(name, "rounds")
        except Exception as error:
            world.note(name, type(error).__name__)
        await asyncio.sleep(_AGAIN_SECONDS)


def main() -> None:
    os.nice(_NICENESS)
    set_session_niceness(os.getpid(), _NICENESS)
    url, key, body_bytes, names = sys.argv[1:]
    print(json.dumps(asyncio.run(run(url, key, int(body_bytes), names.split(",")))))


if __name__ == "__main__":
    main()
