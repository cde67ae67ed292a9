"""Run attacks in a process of its own: `python -m bench.isolation.attackers URL KEY BODY_BYTES NAME,…`.

The process writes "ready" to stderr, starts when it reads a line, stops at the end of its input, and writes the
outcomes as JSON. It has a low priority, because the attackers of a real gateway use processors of their own.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

from bench.isolation.attacks import (
    ATTACKS,
    AttackContext,
    attack_mcp_results,
    create_attacker_session,
    make_hostile_requests,
)
from bench.isolation.mcp_server import run_hostile_server
from workers.host.priority import set_session_niceness

_NICENESS = 15
_REPEAT_DELAY_SECONDS = 0.05


async def run_attacks(url: str, api_key: str, body_bytes: int, attack_names: list[str]) -> dict[str, dict[str, int]]:
    """Attack until the input ends; return the number of each outcome of each attack."""
    async with run_hostile_server(body_bytes) as mcp_url, create_attacker_session(api_key) as http:
        context = AttackContext(url, api_key, http, mcp_url, make_hostile_requests(body_bytes))
        # The first MCP server makes the gateway load the MCP library, which would count as memory growth.
        await attack_mcp_results(context)
        context.outcomes.clear()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        sys.stderr.write("ready\n")
        sys.stderr.flush()
        await reader.readline()
        attack_tasks = [asyncio.create_task(_attack_repeatedly(context, name, ATTACKS[name])) for name in attack_names]
        await reader.read()
        for task in attack_tasks:
            task.cancel()
        await asyncio.gather(*attack_tasks, return_exceptions=True)
        return {name: dict(outcomes) for name, outcomes in sorted(context.outcomes.items())}


async def _attack_repeatedly(
    context: AttackContext, name: str, attack: Callable[[AttackContext], Awaitable[None]]
) -> None:
    while True:
        try:
            await attack(context)
            context.count_outcome(name, "rounds")
        except Exception as error:
            context.count_outcome(name, type(error).__name__)
        await asyncio.sleep(_REPEAT_DELAY_SECONDS)


def main() -> None:
    """Lower the priority of this process and run the attacks."""
    os.nice(_NICENESS)
    set_session_niceness(os.getpid(), _NICENESS)
    url, key, body_bytes, names = sys.argv[1:]
    print(json.dumps(asyncio.run(run_attacks(url, key, int(body_bytes), names.split(",")))))


if __name__ == "__main__":
    main()
