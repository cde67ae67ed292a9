"""Benchmark of one coding agent that works alone for many turns."""

import statistics
from itertools import pairwise
from pathlib import Path

from bench.coding_agent import CodingAgent, CodingAgentOptions, compute_added_seconds
from bench.figures import BenchResult, add_baseline, to_ms
from bench.parts import run_gateway_process
from bench.process_figures import open_session, read_process_figures
from bench.prompts import cacheable_prefix, count_lost_prefix_bytes
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic

_OPTIONS = CodingAgentOptions(turn_count=100, bash_result_bytes=2_500, bash_seconds=0.05)
# The first of the turns whose times count.
_FIRST_LATE_TURN = 60


async def measure_long_agent(baseline: Path | None = None) -> BenchResult:
    """Measure the time that the gateway adds to the last turns of one coding agent with a long conversation.

    Args:
        baseline: Another checkout of this repository. The result then also has the figures of its gateway.
    """
    figures = await _run_long_agent(None)
    baseline_figures = await _run_long_agent(baseline) if baseline else {}
    return add_baseline(figures, baseline_figures)


async def _run_long_agent(checkout: Path | None) -> BenchResult:
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_process(upstream.url, checkout, CHAT_WORKERS="2") as gateway,
        open_session(gateway) as session,
    ):
        agent = CodingAgent("agent-0", session, _OPTIONS)
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
        "added_ms": to_ms(statistics.median(added[_FIRST_LATE_TURN:])),
        "added_first_turns_ms": to_ms(statistics.median(added[1 : 1 + len(added) - _FIRST_LATE_TURN])),
        "prefix_kept_percent": round(100 * (1 - lost_count / prefix_count), 3),
        "reused_turns": figures.load_counts.get("reused", 0),
    }
