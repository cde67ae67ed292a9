"""Run every measure, print a table against the targets, write the figures as JSON."""

import json
import os
import platform
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from bench import measures
from bench.agents import agents
from bench.dialects import chain, dialects
from bench.measures import Figures
from bench.parts import bare_workers, gateway_process, upstream_process
from bench.prompts import prompts

_RESULTS = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must not be above (`most`) or below (`least`) a bound."""

    measure: str
    figure: str
    words: str
    most: float = float("inf")
    least: float = float("-inf")


TARGETS = (
    Target("first_token", "added_ms", "added to the first token, 1 caller, warm (ms)", most=15),
    Target("throughput_4", "ratio", "jobs/s at 4 callers over the bare CLI's", least=0.9),
    Target("throughput_16", "ratio", "jobs/s at 16 callers over the bare CLI's", least=0.9),
    Target("throughput_16", "slowest_over_median", "slowest job over the median, 16 callers", most=3),
    Target("idle_memory", "with_connections_mib", "gateway with 1,000 idle connections (MiB)", most=120),
    Target("delta_latency", "added_p99_ms", "added to each delta at the 99th percentile (ms)", most=2),
    Target("delta_rate", "gateway_per_s", "deltas a second through one stream", least=5000),
    Target("history", "per_turn_ms", "an earlier turn put back into a conversation (ms)", most=20),
    Target("history", "resident_added_ms", "first token of a continued conversation, 100 turns over 1 (ms)", most=25),
    Target("prompts", "prefix_bytes_lost", "bytes of 20 prompts that the next does not begin with", most=0),
    Target("prompts", "foreign_blocks_fresh", "blocks that no caller sent, in a fresh process", most=0),
    Target("prompts", "foreign_blocks_reused", "blocks that no caller sent, in a used process", most=0),
    Target("dialects", "most_over_chat_ms", "first token of the slowest dialect over chat's (ms)", most=3),
    Target("chain", "added_ms", "a stored response in a chain of 50 over a continued chat (ms)", most=5),
    Target("readiness", "all_ready_s", "from start until 2 workers are ready (s)", most=3),
    Target(
        "agents",
        "first_request_p90_ms",
        "a job with tools until its first request leaves, spare warm, p90 (ms)",
        most=300,
    ),
    Target("agents", "first_request_most_ms", "the slowest of 50 of them (ms)", most=300),
    Target("agents", "processes_unaccounted", "processes that 50 sessions with tools left", most=0),
    Target("agents", "directories_left", "directories of theirs beyond their TTL", most=0),
    Target("agents", "grown_mib", "growth of the gateway over the last 40 of them (MiB)", most=5),
    Target("leaving", "upstream_gone_ms", "from a caller's leaving to the upstream's (ms)", most=100),
    Target("leaving", "next_first_token_ms", "from a caller's leaving to the next first token (ms)", most=100),
)


# Those that need nothing of the others; `python -m bench NAME` takes one alone.
_BY_THEMSELVES: Mapping[str, Callable[[], Coroutine[Any, Any, Figures]]] = {
    "prompts": lambda: prompts(turns=20),
    "leaving": lambda: measures.leaving(rounds=15),
    "agents": lambda: agents(sessions=50),
}


async def _measure() -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    async with upstream_process() as upstream:
        found["readiness"] = await measures.readiness(upstream)
        found["spawn_for_each"] = await measures.spawn_for_each(upstream, rounds=5)
        settings = {"CHAT_WORKERS": "4", "CHAT_SPARE_WORKERS": "1", "WORKER_MAX_JOBS": "100000"}
        async with gateway_process(upstream, **settings) as gateway, bare_workers(upstream, 4) as workers:
            found["first_token"] = await measures.first_token(gateway, workers, rounds=60)
            for callers in (1, 4, 16):
                found[f"throughput_{callers}"] = await measures.throughput(gateway, workers, callers, seconds=3)
            found["delta_latency"] = await measures.delta_latency(gateway, workers, deltas=400, rounds=9)
            found["delta_rate"] = await measures.delta_rate(gateway, workers, deltas=20000)
            found["history"] = await measures.history(gateway, [1, 10, 100, 400], rounds=5)
            found["dialects"] = await dialects(gateway, rounds=40)
            found["chain"] = await chain(gateway)
            found["idle_memory"] = await measures.idle_memory(gateway, 1000)
    for name, measure in _BY_THEMSELVES.items():
        found[name] = await measure()
    return found


async def _measure_one(name: str) -> dict[str, Figures]:
    return {name: await _BY_THEMSELVES[name]()}


def _print(found: dict[str, Figures]) -> bool:
    """The tables; False when a target was missed."""
    for name, figures in found.items():
        print(f"{name:16}", "  ".join(f"{key} {value}" for key, value in figures.items()))
    print()
    met = True
    for target in (target for target in TARGETS if target.measure in found):
        value = found[target.measure][target.figure]
        good = target.least <= value <= target.most
        met = met and good
        bound = f"at most {target.most:g}" if target.most != float("inf") else f"at least {target.least:g}"
        print(f"{'met   ' if good else 'MISSED'}  {target.words:58} {value:>9}   {bound}")
    return met


def main() -> int:
    if names := sys.argv[1:]:
        return 0 if all(_print(uvloop.run(_measure_one(name))) for name in names) else 1
    found = uvloop.run(_measure())
    met = _print(found)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "sdk": version("claude-agent-sdk")}
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(
        json.dumps({"at": datetime.now(UTC).isoformat(), "machine": machine, "figures": found}, indent=2)
    )
    print(f"\nwritten to {_RESULTS}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
