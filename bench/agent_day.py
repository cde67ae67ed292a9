"""Benchmark of a day of coding agents: three agents and two chat users with three keys share a gateway."""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.client import BenchClient, connect_client
from bench.coding_agent import AgentOptions, CodingAgent, TurnTimes, compute_added_seconds
from bench.parts import ChatMessages, GatewayProcess, run_gateway_process
from bench.process_figures import (
    compute_reused_share,
    create_api_keys,
    open_session,
    read_process_figures,
    wait_until_settled,
)
from bench.prompts import cacheable_prefix, count_lost_prefix_bytes
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic

BenchResult = dict[str, Any]

_KEY_COUNT = 3
_CHAT_USER_COUNT = 2
_DAY_OPTIONS = AgentOptions(turn_count=18, pace_seconds=0.004)
_COMPACT_AFTER_TURNS = 9
_CHAT_PAUSE_SECONDS = 1.5
_MAX_DAY_SECONDS = 60
_LONG_OPTIONS = AgentOptions(turn_count=100, bash_result_bytes=2_500, bash_seconds=0.05)
_LONG_FIRST_TURN = 60


@dataclass(slots=True)
class _ChatUser:
    """A user who continues one chat."""

    name: str
    client: BenchClient
    messages: ChatMessages
    turns: list[TurnTimes]

    async def ask(self) -> None:
        question = f"question {len(self.messages)} of {self.name}{{{{deltas 40}}}}{{{{pace 0.004}}}}"
        sent_at = time.perf_counter()
        _, arrivals = await self.client.send_chat(question, self.messages)
        self.turns.append(TurnTimes(self.name, sent_at, time.perf_counter()))
        reply = "".join(text for _, text in arrivals)
        self.messages += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]

    async def ask_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(_CHAT_PAUSE_SECONDS)
            await self.ask()


async def measure_agent_day(baseline: Path | None = None) -> BenchResult:
    """Measure a day of coding agents with two workers, in comparison to the same day with five workers.

    Args:
        baseline: Another checkout of this repository. The result then also has the figures of its gateway.
    """
    two = await _run_day(None, worker_count=2)
    baseline_two = await _run_day(baseline, worker_count=2) if baseline else {}
    five = await _run_day(None, worker_count=5)
    return {
        **two,
        "seconds_with_five_workers": five["seconds"],
        "added_with_five_workers_ms": five["added_ms"],
        "seconds_ratio": round(two["seconds"] / five["seconds"], 2),
        **{f"baseline_{name}": value for name, value in baseline_two.items()},
    }


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
            _ChatUser(f"user-{number}", await stack.enter_async_context(connect_client(gateway.url, key)), [], [])
            for number, key in enumerate(keys[:_CHAT_USER_COUNT])
        ]
        await asyncio.gather(
            *(agent.request_title() for agent in agents),
            *(agent.take_turn() for agent in agents),
            *(user.ask() for user in users),
        )
        before = await wait_until_settled(gateway)
        first_turn_counts = {client.name: len(client.turns) for client in (*agents, *users)}
        seconds = await _run_until_done(agents, users)
        after = await wait_until_settled(gateway)
    turns = {client.name: client.turns[first_turn_counts[client.name] :] for client in (*agents, *users)}
    added = {
        name: [compute_added_seconds(turn, upstream.chat_requests) for turn in turns_of_one]
        for name, turns_of_one in turns.items()
    }
    all_added = [value for values in added.values() for value in values]
    return {
        "turns": len(all_added),
        "agents_done": sum(agent.is_done for agent in agents),
        "seconds": round(seconds, 1),
        "process_starts": after.start_count - before.start_count,
        "reused_percent": round(100 * compute_reused_share(before, after), 1),
        "added_ms": _to_ms(statistics.median(all_added)),
        "added_p90_ms": _to_ms(statistics.quantiles(all_added, n=10)[-1]),
    }


async def _run_until_done(agents: list[CodingAgent], users: list[_ChatUser]) -> float:
    """Let agents and users work until all agents are done, or until the day is over. Return the seconds that it took."""
    started_at = time.perf_counter()
    chats = [asyncio.create_task(user.ask_repeatedly()) for user in users]
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


async def _run_agent(agent: CodingAgent) -> None:
    for number in range(1, _DAY_OPTIONS.turn_count + 2):
        if number == _COMPACT_AFTER_TURNS:
            await agent.compact()
        if agent.is_done:
            return
        await agent.take_turn()


async def measure_long_agent(baseline: Path | None = None) -> BenchResult:
    """Measure the time that the gateway adds to the last turns of one coding agent with a long conversation.

    Args:
        baseline: Another checkout of this repository. The result then also has the figures of its gateway.
    """
    figures = await _run_long_agent(None)
    baseline_figures = await _run_long_agent(baseline) if baseline else {}
    return {**figures, **{f"baseline_{name}": value for name, value in baseline_figures.items()}}


async def _run_long_agent(checkout: Path | None) -> BenchResult:
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_process(upstream.url, checkout, CHAT_WORKERS="2") as gateway,
        open_session(gateway) as session,
    ):
        agent = CodingAgent("agent-0", session, _LONG_OPTIONS)
        while not agent.is_done:
            await agent.take_turn()
        figures = await read_process_figures(gateway)
        requests = upstream.chat_requests
    lost_count = sum(count_lost_prefix_bytes(*pair) for pair in pairwise(requests))
    prefix_count = sum(len(cacheable_prefix(request)) for request in requests[:-1])
    added = [compute_added_seconds(turn, requests) for turn in agent.turns]
    return {
        "turns": len(added),
        "last_request_kib": len(requests[-1].raw) >> 10,
        "added_ms": _to_ms(statistics.median(added[_LONG_FIRST_TURN:])),
        "added_first_turns_ms": _to_ms(statistics.median(added[1 : 1 + len(added) - _LONG_FIRST_TURN])),
        "prefix_kept_percent": round(100 * (1 - lost_count / prefix_count), 3),
        "reused_turns": figures.load_counts.get("reused", 0),
    }


def _to_ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
