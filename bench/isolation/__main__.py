"""Measure how the attacks of one API key affect the chats of another one: `python -m bench.isolation`.

The victim sends one chat per second. The program prints the victim's response times before and during the attack, the
memory of the gateway and the responses to the attackers, and writes the same to bench/results/isolation.json. `--only`
selects attacks, to find the one that has an effect.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from bench.isolation.attacks import ATTACKS
from bench.isolation.keys import prepare_database
from bench.isolation.victim import ChatStats, GatewayMonitor, run_chats
from bench.parts import GatewayProcess, minimal_environment, run_gateway_process, run_upstream_process

RESULTS_FILE = Path(__file__).parent.parent / "results" / "isolation.json"
_MAX_P99_RATIO = 2.0
_MAX_MEMORY_MIB = 400.0
_MAX_MEMORY_GROWTH = 1.15
_MAX_BASELINE_SECONDS = 60.0
_WARMUP_SECONDS = 10.0
_SETTLE_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 30.0
_GATEWAY_SETTINGS = {
    "CHAT_WORKERS": "4",
    "CHAT_SPARE_WORKERS": "1",
    "AGENT_WORKERS": "1",
    # The attacker's MCP server is on this machine.
    "MCP_ALLOW_PRIVATE_ADDRESSES": "true",
}


async def measure_isolation(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark; return its figures."""
    with tempfile.TemporaryDirectory(prefix="claude-gateway-isolation-", ignore_cleanup_errors=True) as name:
        state_dir = Path(name) / "state"
        state_dir.mkdir(mode=0o700)
        attacker_key, victim_key = await prepare_database(state_dir, options.records, options.concurrent_jobs)
        async with (
            run_upstream_process() as upstream,
            run_gateway_process(upstream, STATE_DIR=str(state_dir), **_GATEWAY_SETTINGS) as gateway,
        ):
            return await _measure_attack(gateway, attacker_key, victim_key, options)


async def _measure_attack(
    gateway: GatewayProcess, attacker_key: str, victim_key: str, options: argparse.Namespace
) -> dict[str, Any]:
    attackers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.isolation.attackers", gateway.url, attacker_key),
        *(str(options.body_mb * 1_000_000), ",".join(options.only)),
        env=minimal_environment("/nonexistent"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert attackers.stdin is not None
    assert attackers.stderr is not None
    try:
        if (await attackers.stderr.readline()) != b"ready\n":
            raise RuntimeError(f"the attackers did not start: {(await attackers.stderr.read()).decode()}")
        await run_chats(gateway.url, victim_key, _WARMUP_SECONDS)
        baseline_monitor = GatewayMonitor(gateway.pid, gateway.url)
        baseline = await _run_monitored_chats(
            baseline_monitor, gateway, victim_key, min(_MAX_BASELINE_SECONDS, options.seconds)
        )
        before = baseline_monitor.sample_memory_mib()
        attackers.stdin.write(b"go\n")
        monitor = GatewayMonitor(gateway.pid, gateway.url)
        attacked = await _run_monitored_chats(monitor, gateway, victim_key, options.seconds)
        async with asyncio.timeout(_STOP_TIMEOUT_SECONDS):
            outcomes, _ = await attackers.communicate(b"")
        after = await monitor.wait_for_memory_mib(before * _MAX_MEMORY_GROWTH, _SETTLE_TIMEOUT_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            attackers.kill()
    return {
        "seconds": options.seconds,
        "attacks": options.only,
        "body_mb": options.body_mb,
        "usage_records": options.records,
        "baseline": _summarize(baseline, baseline_monitor),
        "attacked": _summarize(attacked, monitor),
        "first_token_p99_ratio": round(attacked.p99_ms() / baseline.p99_ms(), 2),
        "failures": dict(attacked.failures + baseline.failures),
        "memory_mib": {"before": round(before, 1), "max": round(monitor.max_memory_mib, 1), "after": round(after, 1)},
        "attack_outcomes": json.loads(outcomes),
    }


async def _run_monitored_chats(
    monitor: GatewayMonitor, gateway: GatewayProcess, api_key: str, duration_seconds: float
) -> ChatStats:
    monitor_task = asyncio.create_task(monitor.run())
    try:
        return await run_chats(gateway.url, api_key, duration_seconds)
    finally:
        monitor_task.cancel()
        with suppress(asyncio.CancelledError):
            await monitor_task


def _summarize(stats: ChatStats, monitor: GatewayMonitor) -> dict[str, Any]:
    return {
        "chats": len(stats.first_token_seconds) + stats.failures.total(),
        "failed": stats.failures.total(),
        "first_token_median_ms": stats.median_ms(),
        "first_token_p99_ms": stats.p99_ms(),
        "slowest_ms_by_second": stats.slowest_ms(),
        "slowest_health_live_ms": round(monitor.max_health_seconds * 1000),
    }


def evaluate_targets(result: dict[str, Any]) -> list[tuple[bool, str, str]]:
    """Compare a run with its targets; return for each whether it is met, its description and the value of the run."""
    memory, ratio = result["memory_mib"], result["first_token_p99_ratio"]
    failed = result["attacked"]["failed"]
    growth = memory["after"] / memory["before"]
    return [
        (
            ratio <= _MAX_P99_RATIO,
            f"first token of the victim, p99, over its baseline: at most {_MAX_P99_RATIO:g}",
            f"{ratio}",
        ),
        (not failed, "failed requests of the victim: 0", f"{failed}"),
        (
            memory["max"] <= _MAX_MEMORY_MIB,
            f"memory of the gateway: at most {_MAX_MEMORY_MIB:g} MiB",
            f"{memory['max']} MiB",
        ),
        (growth <= _MAX_MEMORY_GROWTH, "memory after the attack over memory before: at most 1.15", f"{growth:.2f}"),
    ]


def print_report(result: dict[str, Any]) -> bool:
    """Print the results and the targets; return False if a target was missed."""
    for name in ("baseline", "attacked"):
        print(f"{name:12}", "  ".join(f"{key} {value}" for key, value in result[name].items()))
    print(f"{'memory':12}", "  ".join(f"{key} {value} MiB" for key, value in result["memory_mib"].items()))
    print("\noutcomes of the attacks")
    for name, outcomes in result["attack_outcomes"].items():
        print(f"  {name:42}", "  ".join(f"{outcome} x{count}" for outcome, count in outcomes.items()))
    for failure, count in result["failures"].items():
        print(f"  a chat of the victim failed: {failure} x{count}")
    print()
    all_met = True
    for is_met, description, value in evaluate_targets(result):
        all_met = all_met and is_met
        print(f"{'met   ' if is_met else 'MISSED'}  {description:62}{value}")
    return all_met


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.isolation", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="duration of the attack (300)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ATTACKS), help=", ".join(ATTACKS))
    parser.add_argument("--body-mb", type=int, default=8, help="size of hostile bodies and messages in MB (8)")
    parser.add_argument("--records", type=int, default=300_000, help="usage records of the attacker's key (300,000)")
    parser.add_argument(
        "--concurrent-jobs", type=int, default=2, help="maximum of concurrent jobs of the attacker's key (2)"
    )
    options = parser.parse_args()
    if unknown := set(options.only) - set(ATTACKS):
        parser.error(f"unknown attacks: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    """Run the benchmark; return the exit status, 1 if a target was missed."""
    figures = uvloop.run(measure_isolation(_parse_options()))
    all_met = print_report(figures)
    RESULTS_FILE.parent.mkdir(exist_ok=True)
    RESULTS_FILE.write_text(json.dumps(figures, indent=2))
    print(f"\nwritten to {RESULTS_FILE}")
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
