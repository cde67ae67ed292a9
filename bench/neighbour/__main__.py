"""`python -m bench.neighbour`: what a key that chats once a second notices of another that attacks with everything.

It prints what the other saw before and during the attack, what the gateway held, and what came back to the attackers,
and writes the same to bench/results/neighbour.json. `--only` names attacks, to find the one that hurts.
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

from bench.neighbour.attacks import ATTACKS
from bench.neighbour.keys import prepare
from bench.neighbour.victim import Chats, Watch, chat_for
from bench.parts import GatewayProcess, base_environment, gateway_process, upstream_process

RESULTS = Path(__file__).parent.parent / "results" / "neighbour.json"
_MOST_RATIO = 2.0
_MOST_MIB = 400.0
_MOST_GROWTH = 1.15
_QUIET_SECONDS = 60.0
_WARM_SECONDS = 10.0
_SETTLE_SECONDS = 60.0
_STOPPED_SECONDS = 30.0
_SETTINGS = {
    "CHAT_WORKERS": "4",
    "CHAT_SPARE_WORKERS": "1",
    "AGENT_WORKERS": "1",
    # For the attacker's server, which is on this machine.
    "MCP_ALLOW_PRIVATE_ADDRESSES": "true",
}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One run; its figures."""
    with tempfile.TemporaryDirectory(prefix="claude-gateway-neighbour-", ignore_cleanup_errors=True) as name:
        state_dir = Path(name) / "state"
        state_dir.mkdir(mode=0o700)
        attacker, other = await prepare(state_dir, options.lines, options.at_once)
        async with (
            upstream_process() as upstream,
            gateway_process(upstream, STATE_DIR=str(state_dir), **_SETTINGS) as gateway,
        ):
            return await _attacked(gateway, attacker, other, options)


async def _attacked(gateway: GatewayProcess, attacker: str, other: str, options: argparse.Namespace) -> dict[str, Any]:
    attackers = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.neighbour.attackers", gateway.url, attacker),
        *(str(options.body_mb * 1_000_000), ",".join(options.only)),
        env=base_environment("/nonexistent"),
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
        await chat_for(gateway.url, other, _WARM_SECONDS)
        quiet_watch = Watch(gateway.pid, gateway.url)
        quiet = await _watched(quiet_watch, gateway, other, min(_QUIET_SECONDS, options.seconds))
        before = quiet_watch.memory_mib()
        attackers.stdin.write(b"go\n")
        watch = Watch(gateway.pid, gateway.url)
        attacked = await _watched(watch, gateway, other, options.seconds)
        async with asyncio.timeout(_STOPPED_SECONDS):
            said, _ = await attackers.communicate(b"")
        after = await watch.settled_mib(before * _MOST_GROWTH, _SETTLE_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            attackers.kill()
    return {
        "seconds": options.seconds,
        "attacks": options.only,
        "body_mb": options.body_mb,
        "ledger_lines": options.lines,
        "quiet": _figures(quiet, quiet_watch),
        "attacked": _figures(attacked, watch),
        "first_token_p99_ratio": round(attacked.p99_ms() / quiet.p99_ms(), 2),
        "failures": dict(attacked.failures + quiet.failures),
        "memory_mib": {"before": round(before, 1), "most": round(watch.most_mib, 1), "after": round(after, 1)},
        "attackers_saw": json.loads(said),
    }


async def _watched(watch: Watch, gateway: GatewayProcess, key: str, seconds: float) -> Chats:
    watching = asyncio.create_task(watch.run())
    try:
        return await chat_for(gateway.url, key, seconds)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _figures(chats: Chats, watch: Watch) -> dict[str, Any]:
    return {
        "chats": len(chats.first_tokens) + chats.failures.total(),
        "failed": chats.failures.total(),
        "first_token_median_ms": chats.median_ms(),
        "first_token_p99_ms": chats.p99_ms(),
        "slowest_ms_by_second": chats.slowest_ms(),
        "slowest_health_live_ms": round(watch.slowest_live * 1000),
    }


def targets(figures: dict[str, Any]) -> list[tuple[bool, str, str]]:
    """What a run must reach: whether it did, in words, with what it reached."""
    memory, ratio = figures["memory_mib"], figures["first_token_p99_ratio"]
    failed = figures["attacked"]["failed"]
    growth = memory["after"] / memory["before"]
    return [
        (
            ratio <= _MOST_RATIO,
            f"the other's first token, p99, over its quiet value: at most {_MOST_RATIO:g}",
            f"{ratio}",
        ),
        (not failed, "requests of the other that failed: 0", f"{failed}"),
        (memory["most"] <= _MOST_MIB, f"memory of the gateway: at most {_MOST_MIB:g} MiB", f"{memory['most']} MiB"),
        (growth <= _MOST_GROWTH, "memory behind the attack over that before: at most 1.15", f"{growth:.2f}"),
    ]


def show(figures: dict[str, Any]) -> bool:
    """Print the tables; False where a target was missed."""
    for name in ("quiet", "attacked"):
        print(f"{name:12}", "  ".join(f"{key} {value}" for key, value in figures[name].items()))
    print(f"{'memory':12}", "  ".join(f"{key} {value} MiB" for key, value in figures["memory_mib"].items()))
    print("\nwhat came back to the attackers")
    for name, seen in figures["attackers_saw"].items():
        print(f"  {name:42}", "  ".join(f"{what} x{number}" for what, number in seen.items()))
    for failure, number in figures["failures"].items():
        print(f"  the other failed: {failure} x{number}")
    print()
    met = True
    for good, words, reached in targets(figures):
        met = met and good
        print(f"{'met   ' if good else 'MISSED'}  {words:62}{reached}")
    return met


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.neighbour", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="how long the attack lasts (300)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ATTACKS), help=", ".join(ATTACKS))
    parser.add_argument("--body-mb", type=int, default=8, help="size of hostile bodies and messages in MB (8)")
    parser.add_argument("--lines", type=int, default=300_000, help="lines of the attacker's in the ledger (300,000)")
    parser.add_argument("--at-once", type=int, default=2, help="jobs that the attacker's key may have at once (2)")
    options = parser.parse_args()
    if unknown := set(options.only) - set(ATTACKS):
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    figures = uvloop.run(measure(_options()))
    met = show(figures)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2))
    print(f"\nwritten to {RESULTS}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
