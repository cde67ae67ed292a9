"""Run every benchmark, print the results with their targets and write them as JSON.

`python -m bench NAME` runs one benchmark that needs none of the others. With `--baseline CHECKOUT`, the benchmark
`cpu_time` and those of conversations and processes also measure the gateway of another checkout of this repository, in
turns with this one.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from bench import measures
from bench.agent_day import measure_agent_day
from bench.agents import measure_agents
from bench.conversation_places import measure_conversations_in_turn, measure_keys_in_turn
from bench.cpu_time import measure_cpu_time
from bench.dialects import measure_dialects, measure_response_chain
from bench.figures import BenchResult
from bench.long_agent import measure_long_agent
from bench.loop_stalls import measure_loop_stalls
from bench.parts import run_bare_workers, run_gateway_process, run_upstream_process
from bench.process_memory import measure_day, measure_memory_return
from bench.prompts import measure_prompts

_RESULTS_FILE = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """A limit for one metric of a benchmark."""

    measure: str
    metric: str
    description: str
    max_value: float = float("inf")
    min_value: float = float("-inf")


TARGETS = (
    BenchTarget("first_token", "added_ms", "first token, added by the gateway, 1 client, warm (ms)", max_value=15),
    BenchTarget("throughput_4", "ratio", "jobs/s of 4 clients over the bare CLI", min_value=0.92),
    BenchTarget("throughput_16", "ratio", "jobs/s of 16 clients over the bare CLI", min_value=0.92),
    BenchTarget("throughput_16", "max_over_median", "slowest job over the median, 16 clients", max_value=3),
    BenchTarget("idle_memory", "with_connections_mib", "gateway with 1,000 idle connections (MiB)", max_value=120),
    BenchTarget("delta_latency", "added_p99_ms", "delta latency, added by the gateway, p99 (ms)", max_value=2),
    BenchTarget("delta_rate", "gateway_per_s", "deltas per second of one stream", min_value=5000),
    BenchTarget("history", "per_turn_ms", "replay of one earlier turn (ms)", max_value=20),
    BenchTarget(
        "history", "reused_added_ms", "first token of a continued conversation, 100 turns over 1 (ms)", max_value=25
    ),
    BenchTarget("prompts", "lost_prefix_bytes", "bytes of 20 prompts that the next prompt lacks", max_value=0),
    BenchTarget("prompts", "foreign_blocks_fresh", "blocks that no client sent, fresh process", max_value=0),
    BenchTarget("prompts", "foreign_blocks_reused", "blocks that no client sent, reused process", max_value=0),
    BenchTarget("dialects", "max_over_chat_ms", "first token of the slowest dialect over chat (ms)", max_value=3),
    BenchTarget("chain", "added_ms", "stored response in a chain of 50 over a continued chat (ms)", max_value=5),
    BenchTarget("readiness", "all_workers_ready_s", "start until 2 workers are ready (s)", max_value=3),
    BenchTarget(
        "agents",
        "first_request_p90_ms",
        "first upstream request of a job with tools, spare warm, p90 (ms)",
        max_value=300,
    ),
    BenchTarget("agents", "first_request_max_ms", "the same, slowest of 50 jobs (ms)", max_value=300),
    BenchTarget("agents", "leftover_processes", "processes left by 50 sessions with tools", max_value=0),
    BenchTarget("agents", "leftover_directories", "workspaces left after their TTL", max_value=0),
    BenchTarget("agents", "memory_growth_mib", "growth of the gateway over the last 40 sessions (MiB)", max_value=5),
    BenchTarget(
        "disconnect", "upstream_closed_ms", "client disconnect until the upstream is closed (ms)", max_value=100
    ),
    BenchTarget(
        "disconnect", "next_first_token_ms", "client disconnect until the next first token (ms)", max_value=100
    ),
    BenchTarget("agent_day", "process_starts", "day of agents: process starts after the first round", max_value=0),
    BenchTarget("agent_day", "reused_percent", "day of agents: turns that found their conversation (%)", min_value=90),
    BenchTarget("agent_day", "added_ms", "day of agents: added to a turn, median (ms)", max_value=120),
    BenchTarget("agent_day", "seconds_ratio", "day of agents: time over that of 5 workers", max_value=1.3),
    BenchTarget("long_agent", "added_ms", "one agent: added to turns 60 to 100, median (ms)", max_value=60),
    BenchTarget("long_agent", "prefix_kept_percent", "one agent: prompt prefix that is kept (%)", min_value=100),
    BenchTarget("keys_in_turn", "process_starts", "4 keys in turn: process starts after the first round", max_value=0),
    BenchTarget("keys_in_turn", "in_turn_ratio", "4 keys in turn: first token over that of one key", max_value=1.3),
    BenchTarget(
        "conversations_in_turn", "reused_percent", "8 conversations in turn: found in a process (%)", min_value=100
    ),
    BenchTarget("idle_memory_back", "idle_ratio", "memory of idle processes over that of the spares", max_value=1.1),
    BenchTarget("idle_memory_back", "beyond_idle_time_s", "idle time until then, beyond the setting (s)", max_value=3),
)
# Targets for the ratios to a baseline.
BASELINE_TARGETS = tuple(
    BenchTarget("cpu_time", f"{dialect}_{name}_ratio", f"{dialect}: {description} over the baseline", max_value=limit)
    for dialect in ("chat", "messages")
    for name, description, limit in (
        ("job", "processor time of a short job", 0.6),
        ("streamed_job", "processor time of a short streamed job", 0.6),
        ("fast_delta", "processor time of a delta of a fast stream", 0.5),
        ("paced_delta", "processor time of a delta that arrives alone", 0.5),
    )
)


# Benchmarks that need none of the others: `python -m bench NAME` runs one alone. The parameter is the checkout that is
# the baseline, or None.
_STANDALONE_MEASURES: Mapping[str, Callable[[Path | None], Coroutine[Any, Any, BenchResult]]] = {
    "prompts": lambda _: measure_prompts(turn_count=20),
    "disconnect": lambda _: measures.measure_disconnect(rounds=15),
    "agents": lambda _: measure_agents(session_count=50),
    "loop_stalls": lambda _: measure_loop_stalls(rounds=5),
    "cpu_time": lambda baseline: measure_cpu_time(rounds=10, baseline=baseline),
    "agent_day": measure_agent_day,
    "long_agent": measure_long_agent,
    "keys_in_turn": lambda baseline: measure_keys_in_turn(rounds=10, baseline=baseline),
    "conversations_in_turn": lambda baseline: measure_conversations_in_turn(rounds=3, baseline=baseline),
    "idle_memory_back": measure_memory_return,
    "day": measure_day,
}


async def _run_all(baseline: Path | None) -> dict[str, BenchResult]:
    results: dict[str, BenchResult] = {}
    async with run_upstream_process() as upstream:
        results["readiness"] = await measures.measure_readiness(upstream)
        results["spawn_per_request"] = await measures.measure_spawn_per_request(upstream, rounds=5)
        settings = {"CHAT_WORKERS": "4", "CHAT_SPARE_WORKERS": "1", "MAX_WORKER_JOBS": "100000"}
        async with run_gateway_process(upstream, **settings) as gateway, run_bare_workers(upstream, 4) as workers:
            results["first_token"] = await measures.measure_first_token(gateway, workers, rounds=60)
            for client_count in (1, 4, 16):
                results[f"throughput_{client_count}"] = await measures.measure_throughput(
                    gateway, workers, client_count, duration_seconds=3
                )
            results["delta_latency"] = await measures.measure_delta_latency(gateway, workers, delta_count=400, rounds=9)
            results["delta_rate"] = await measures.measure_delta_rate(gateway, workers, delta_count=20000)
            results["history"] = await measures.measure_history(gateway, [1, 10, 100, 400], rounds=5)
            results["dialects"] = await measure_dialects(gateway, rounds=40)
            results["chain"] = await measure_response_chain(gateway)
            results["idle_memory"] = await measures.measure_idle_memory(gateway, 1000)
    for name, measure in _STANDALONE_MEASURES.items():
        results[name] = await measure(baseline)
    return results


async def _run_one(name: str, baseline: Path | None) -> dict[str, BenchResult]:
    return {name: await _STANDALONE_MEASURES[name](baseline)}


def _print_report(results: dict[str, BenchResult], targets: Sequence[BenchTarget]) -> bool:
    """Print the results and the targets; return False if a target was missed."""
    for name, figures in results.items():
        print(f"{name:16}", "  ".join(f"{key} {value}" for key, value in figures.items()))
    print()
    all_met = True
    for target in (target for target in targets if target.measure in results):
        value = results[target.measure][target.metric]
        is_met = target.min_value <= value <= target.max_value
        all_met = all_met and is_met
        bound = (
            f"at most {target.max_value:g}" if target.max_value != float("inf") else f"at least {target.min_value:g}"
        )
        print(f"{'met   ' if is_met else 'MISSED'}  {target.description:58} {value:>9}   {bound}")
    return all_met


def main() -> int:
    """Run the named benchmarks, or all of them; return the exit status, 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(_STANDALONE_MEASURES)}")
    parser.add_argument("--baseline", type=Path, metavar="CHECKOUT", help="another checkout of this repository")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(_STANDALONE_MEASURES):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    targets = TARGETS if arguments.baseline is None else (*TARGETS, *BASELINE_TARGETS)
    if arguments.names:
        reports = (_print_report(uvloop.run(_run_one(name, arguments.baseline)), targets) for name in arguments.names)
        return 0 if all(reports) else 1
    all_results = uvloop.run(_run_all(arguments.baseline))
    all_met = _print_report(all_results, targets)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "sdk": version("claude-agent-sdk")}
    _RESULTS_FILE.parent.mkdir(exist_ok=True)
    _RESULTS_FILE.write_text(
        json.dumps({"at": datetime.now(UTC).isoformat(), "machine": machine, "figures": all_results}, indent=2)
    )
    print(f"\nwritten to {_RESULTS_FILE}")
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
