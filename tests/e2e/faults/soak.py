"""`make soak`: run a gateway at full load for SOAK_MINUTES, with random faults of SOAK_SEED, and print a report."""

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

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.faults.gateway import (
    API_KEY,
    WORKER_COUNT,
    MonitoredGateway,
    run_monitored_gateway,
    wait_all_workers_ready,
)
from tests.e2e.faults.gateway_database import GatewayDatabase
from tests.e2e.faults.load import LoadRunner
from tests.e2e.faults.load_clients import create_clients
from tests.e2e.faults.plan import LoadPlan
from tests.e2e.faults.report import print_report, summarize_run
from tests.e2e.faults.wrapper import create_misbehaving_cli

RESULTS_FILE = Path(__file__).parent / "results" / "latest.json"
# The gateway's log, with the id of each attempt, for an investigation of a problem.
LOG_FILE = RESULTS_FILE.with_suffix(".log")
CLIENT_COUNT = 32
_EXIT_TIMEOUT_SECONDS = 2.0


async def run_soak(minutes: float, seed: int) -> dict[str, Any]:
    """Run once, and return the figures."""
    with tempfile.TemporaryDirectory(prefix="claude-gateway-soak-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        program, claims = create_misbehaving_cli(directory)
        async with run_fake_anthropic() as upstream, run_monitored_gateway(upstream, directory, program) as gateway:
            await wait_all_workers_ready(gateway)
            baseline = await gateway.count_resources()
            monitor = asyncio.create_task(gateway.monitor())
            async with create_clients(gateway.url) as clients:
                load = LoadRunner(clients, upstream, claims, [API_KEY], GatewayDatabase(gateway.state_dir))
                deadline = time.monotonic() + minutes * 60
                await load.run(iter(LoadPlan(seed)), CLIENT_COUNT, lambda: time.monotonic() < deadline)
                await load.check_usage()
            final = await gateway.wait_for_release(baseline)
            monitor.cancel()
            remaining = await _count_processes_after_kill(gateway)
        await asyncio.to_thread(shutil.copyfile, directory / "log", LOG_FILE)
    figures = summarize_run(load.record, gateway, baseline, final)
    run = {"minutes": minutes, "seed": seed, "clients": CLIENT_COUNT, "workers": WORKER_COUNT}
    return {**run, **figures, "processes_after_kill": remaining}


async def _count_processes_after_kill(gateway: MonitoredGateway) -> int:
    """Kill the gateway, and return how many of its processes still run two seconds later."""
    children = psutil.Process(gateway.process.pid).children(recursive=True)
    gateway.process.kill()
    await gateway.process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=_EXIT_TIMEOUT_SECONDS)
    return len(alive)


def main() -> int:
    minutes = float(os.environ.get("SOAK_MINUTES", "20"))
    seed = int(os.environ.get("SOAK_SEED", str(int(time.time()) % 100_000)))
    RESULTS_FILE.parent.mkdir(exist_ok=True)
    figures = asyncio.run(run_soak(minutes, seed))
    all_met = print_report(figures)
    RESULTS_FILE.write_text(json.dumps(figures, indent=2))
    print(f"\nwritten to {RESULTS_FILE} and {LOG_FILE}")
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
