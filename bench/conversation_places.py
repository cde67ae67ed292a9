"""Benchmarks of conversations that continue in turn: of several keys, and of one key."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.chat_user import ChatUser
from bench.client import connect_client
from bench.figures import BenchResult, add_baseline, to_ms
from bench.parts import API_KEY, GatewayProcess, run_gateway_process, run_upstream_process
from bench.process_figures import (
    ProcessFigures,
    compute_reused_share,
    create_api_keys,
    wait_until_settled,
)

_KEY_COUNT = 4
_CONVERSATION_COUNT = 8
# The time between two questions, which a worker needs to become ready again.
_PAUSE_SECONDS = 0.05


async def measure_keys_in_turn(rounds: int, baseline: Path | None = None) -> BenchResult:
    """Measure the time to the first token if four keys ask in turn, and if one of them asks as often alone.

    Args:
        rounds: The number of rounds after the first round.
        baseline: Another checkout of this repository. The result then also has the figures of its gateway.
    """
    async with run_upstream_process() as upstream:
        figures = await _run_keys_in_turn(upstream, None, rounds)
        baseline_figures = await _run_keys_in_turn(upstream, baseline, rounds) if baseline else {}
    return add_baseline(figures, baseline_figures)


async def measure_conversations_in_turn(rounds: int, baseline: Path | None = None) -> BenchResult:
    """Count the turns that find their conversation in a process, if one key continues eight conversations in turn.

    At first, each conversation begins when the gateway has started the spare for it. In another run, the conversations
    begin faster than processes start, so that they need some rounds to get a process each.

    Args:
        rounds: The number of rounds after the first round.
        baseline: Another checkout of this repository. The result then also has the figures of its gateway.
    """
    async with run_upstream_process() as upstream:
        figures = await _run_conversations_in_turn(upstream, None, rounds)
        baseline_figures = await _run_conversations_in_turn(upstream, baseline, rounds) if baseline else {}
        fast = await _run_conversations_in_turn(upstream, None, rounds, begins_fast=True)
    figures["fast_begin_reused_percent"] = fast["reused_percent"]
    return add_baseline(figures, baseline_figures)


async def _run_keys_in_turn(upstream_url: str, checkout: Path | None, rounds: int) -> BenchResult:
    async with run_gateway_process(upstream_url, checkout, CHAT_WORKERS="2") as gateway:
        keys = await create_api_keys(gateway, _KEY_COUNT)
        async with _connect_users(gateway, keys) as users:
            before = await _run_first_round(gateway, users)
            alone_seconds, in_turn_seconds = [], []
            for _ in range(rounds):
                in_turn_seconds += await _ask_in_turn(users)
                alone_seconds += await _ask_in_turn([users[0]] * len(users))
            after = await wait_until_settled(gateway)
    alone, in_turn = statistics.median(alone_seconds), statistics.median(in_turn_seconds)
    return {
        "process_starts": after.start_count - before.start_count,
        "one_key_ms": to_ms(alone),
        "in_turn_ms": to_ms(in_turn),
        "in_turn_max_ms": to_ms(max(in_turn_seconds)),
        "in_turn_ratio": round(in_turn / alone, 2),
    }


async def _run_conversations_in_turn(
    upstream_url: str, checkout: Path | None, rounds: int, *, begins_fast: bool = False
) -> BenchResult:
    settings = {"CHAT_WORKERS": "2", "MAX_CHAT_PROCESSES": str(_CONVERSATION_COUNT)}
    async with (
        run_gateway_process(upstream_url, checkout, **settings) as gateway,
        _connect_users(gateway, [API_KEY] * _CONVERSATION_COUNT) as users,
    ):
        before = await _run_first_round(gateway, users, is_fast=begins_fast)
        seconds = [duration for _ in range(rounds) for duration in await _ask_in_turn(users)]
        after = await wait_until_settled(gateway)
    return {
        "turns": len(seconds),
        "reused_percent": round(100 * compute_reused_share(before, after), 1),
        "process_starts": after.start_count - before.start_count,
        "first_token_ms": to_ms(statistics.median(seconds)),
    }


@asynccontextmanager
async def _connect_users(gateway: GatewayProcess, keys: Sequence[str]) -> AsyncIterator[list[ChatUser]]:
    async with AsyncExitStack() as stack:
        yield [
            ChatUser(f"user-{number}", await stack.enter_async_context(connect_client(gateway.url, key)))
            for number, key in enumerate(keys)
        ]


async def _run_first_round(
    gateway: GatewayProcess, users: Sequence[ChatUser], *, is_fast: bool = False
) -> ProcessFigures:
    """Let each user ask the first question. Return the figures when the gateway has the processes that it wants.

    Args:
        gateway: The gateway.
        users: The users.
        is_fast: Whether each user asks as soon as the one before has the reply. Otherwise each waits until the gateway
            has the processes that it wants.
    """
    figures = await wait_until_settled(gateway)
    for user in users:
        await _ask_in_turn([user])
        if not is_fast:
            figures = await wait_until_settled(gateway)
    return await wait_until_settled(gateway) if is_fast else figures


async def _ask_in_turn(users: Sequence[ChatUser]) -> list[float]:
    """Let each user ask a question, one after the other. Return the seconds until the first tokens."""
    durations = []
    for user in users:
        durations.append(await user.ask())
        await asyncio.sleep(_PAUSE_SECONDS)
    return durations
