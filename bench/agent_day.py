"""Benchmark of a day of coding agents: three agents and two chat users with three keys share a gateway."""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench.chat_user import ChatUser
from bench.client import connect_client
from bench.coding_agent import CodingAgent, CodingAgentOptions, compute_added_seconds
from bench.figures import BenchResult, add_baseline, to_ms
from bench.parts import run_gateway_process
from bench.process_figures import (
    compute_reused_share,
    create_api_keys,
    open_session,
    read_process_figures,
    wait_until_settled,
)
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic

_KEY_COUNT = 3
_CHAT_USER_COUNT = 2
_DAY_OPTIONS = CodingAgentOptions(turn_count=18, pace_seconds=0.004)
_COMPACT_AFTER_TURNS = 9
_CHAT_PAUSE_SECONDS = 1.5
_CHAT_DIRECTIVES = "{{deltas 40}}{{pace 0.004}}"
_MAX_DAY_SECONDS = 60


async def measure_agent_day(baseline: Path | None = None) -> BenchResult:
    """Measure a day of coding agents with two workers, in comparison to the same day with five workers.

    Args:
        baseline: Another checkout of this repository. The result then also has the figures of its gateway.
    """
    two = await _run_day(None, worker_count=2)
    baseline_two = await _run_day(baseline, worker_count=2) if baseline else {}
    five = await _run_day(None, worker_count=5)
    figures = {
        **two,
        "seconds_with_five_workers": five["seconds"],
        "added_with_five_workers_ms": five["added_ms"],
        "seconds_ratio": round(two["seconds"] / five["seconds"], 2),
    }
    return add_baseline(figures, baseline_two)


async def _run_day(checkout: Path | None, worker_count: int) -> BenchResult:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(run_fake_anthropic())
        gateway = await stack.enter_async_context(
            run_gateway_process(upstream.url, checkout, CHAT_WORKERS=str(worker_count))
        )
        keys = await create_api_keys(gateway, _KEY_COUNT)
        agents = [
            CodingAgent(f"agent-{number}", await stack.enter_async_context(open_session(gateway, key)), _DAY_OPTIONS)
            for number, key in enumerate(keys)
        ]
        users = [
            ChatUser(
                f"user-{number}", await stack.enter_async_context(connect_client(gateway.url, key)), _CHAT_DIRECTIVES
            )
            for number, key in enumerate(keys[:_CHAT_USER_COUNT])
        ]
        for user in users:
            await user.ask()
            await wait_until_settled(gateway)
        for agent in agents:
            await asyncio.gather(agent.request_title(), agent.take_turn())
            await wait_until_settled(gateway)
        before = await read_process_figures(gateway)
        clients: list[CodingAgent | ChatUser] = [*agents, *users]
        for client in clients:
            client.turns.clear()
        seconds = await _run_until_done(agents, users)
        after = await wait_until_settled(gateway)
    requests = upstream.chat_requests
    added = [compute_added_seconds(turn, requests) for client in clients for turn in client.turns]
    return {
        "turns": len(added),
        "agents_done": sum(agent.is_done for agent in agents),
        "seconds": round(seconds, 1),
        "process_starts": after.start_count - before.start_count,
        "reused_percent": round(100 * compute_reused_share(before, after), 1),
        "added_ms": to_ms(statistics.median(added)),
        "added_p90_ms": to_ms(statistics.quantiles(added, n=10)[-1]),
    }


async def _run_until_done(agents: list[CodingAgent], users: list[ChatUser]) -> float:
    """Let agents and users work until all agents are done, or until the day is over. Return the duration in seconds."""
    started_at = time.perf_counter()
    chats = [asyncio.create_task(_ask_repeatedly(user)) for user in users]
    try:
        async with asyncio.timeout(_MAX_DAY_SECONDS):
            await asyncio.gather(*map(_run_agent, agents))
    except TimeoutError:
        pass
    finally:
        seconds = time.perf_counter() - started_at
        for chat in chats:
            chat.cancel()
        results = await asyncio.gather(*chats, return_exceptions=True)
    if errors := [error for error in results if isinstance(error, Exception)]:
        raise errors[0]
    return seconds


async def _ask_repeatedly(user: ChatUser) -> None:
    while True:
        await asyncio.sleep(_CHAT_PAUSE_SECONDS)
        await user.ask()


async def _run_agent(agent: CodingAgent) -> None:
    for number in range(1, _DAY_OPTIONS.turn_count + 2):
        if number == _COMPACT_AFTER_TURNS:
            await agent.compact()
        if agent.is_done:
            return
        await agent.take_turn()
