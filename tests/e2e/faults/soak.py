"""`make soak`: a gateway at full load for SOAK_MINUTES, with faults at random (SOAK_SEED), and what came of it."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from claude_gateway.demo.upstream import stand_in
from tests.e2e.faults.books import Books
from tests.e2e.faults.callers import callers
from tests.e2e.faults.gateway import KEY, WORKERS, Soaked, soaked, warmed
from tests.e2e.faults.load import Load
from tests.e2e.faults.plan import Plan
from tests.e2e.faults.report import figures_of, show
from tests.e2e.faults.wrapper import misbehaving

RESULTS = Path(__file__).parent / "results" / "latest.json"
# What the gateway said, with the id of each attempt: for whoever looks for a cause.
LOG = RESULTS.with_suffix(".log")
CROWD = 32
_GONE_SECONDS = 2.0


async def soak(minutes: float, seed: int) -> dict[str, Any]:
    """One run; the figures of it."""
    with tempfile.TemporaryDirectory(prefix="claude-gateway-soak-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        program, claims = misbehaving(directory)
        async with stand_in() as upstream, soaked(upstream, directory, program) as gateway:
            await warmed(gateway)
            before = await gateway.holds()
            watch = asyncio.create_task(gateway.watch())
            async with callers(gateway.url) as crowd:
                load = Load(crowd, upstream, claims, [KEY], Books(gateway.state_dir))
                until = time.monotonic() + minutes * 60
                await load.run(iter(Plan(seed)), CROWD, lambda: time.monotonic() < until)
                await load.audit()
            after = await gateway.held_at_last(before)
            watch.cancel()
            left = await _left_after_a_kill(gateway)
        await asyncio.to_thread(shutil.copyfile, directory / "log", LOG)
    figures = figures_of(load.record, gateway, before, after)
    run = {"minutes": minutes, "seed": seed, "callers": CROWD, "workers": WORKERS}
    return {**run, **figures, "left_after_a_kill": left}


async def _left_after_a_kill(gateway: Soaked) -> int:
    """How many processes of a killed gateway live two seconds later."""
    ours = psutil.Process(gateway.process.pid).children(recursive=True)
    gateway.process.kill()
    await gateway.process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, ours, timeout=_GONE_SECONDS)
    return len(alive)


def main() -> int:
    minutes = float(os.environ.get("SOAK_MINUTES", "20"))
    seed = int(os.environ.get("SOAK_SEED", str(int(time.time()) % 100_000)))
    RESULTS.parent.mkdir(exist_ok=True)
    figures = asyncio.run(soak(minutes, seed))
    met = show(figures)
    RESULTS.write_text(json.dumps(figures, indent=2))
    print(f"\nwritten to {RESULTS} and {LOG}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
