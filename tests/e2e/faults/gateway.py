"""A gateway process under load, and measurements of it from outside."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic
from tests.e2e.faults.resource_counts import ResourceCounts, count_resources, wait_for_baseline
from tests.e2e.helpers.gateway import MODEL

API_KEY = "a-key-of-the-soak"
WORKER_COUNT = 4
GATEWAY_SETTINGS = {
    "PORT": "0",
    "CLAUDE_WRAPPER_HOST": "127.0.0.1",
    "API_KEY": API_KEY,
    "CLAUDE_AUTH_METHOD": "api_key",
    "DEFAULT_MODEL": MODEL,
    "ANTHROPIC_API_KEY": FAKE_API_KEY,
    "CHAT_WORKERS": str(WORKER_COUNT),
    "CHAT_SPARE_WORKERS": "1",
    # The number of processes must not change, so that a process that is left behind is noticed.
    "MAX_CHAT_PROCESSES": str(WORKER_COUNT + 1),
    # Fewer than there are clients, so that the gateway always asks some of them to retry.
    "MAX_QUEUED_JOBS": "24",
    "MAX_TIMEOUT": "10000",
    "MAX_WORKER_RSS_MIB": "200",
    "MAX_WORKER_JOBS": "200",
    # The tests observe the queue, so no rate limit may come first.
    "RATE_LIMIT_ENABLED": "false",
    "STREAM_HEAD_TIMEOUT_SECONDS": "1",
    "HEARTBEAT_INTERVAL_SECONDS": "1",
    # Sessions expire within a run.
    "SESSION_TTL_SECONDS": "60",
}
_SAMPLE_INTERVAL_SECONDS = 2.0


@dataclass(slots=True)
class MonitoredGateway:
    """A gateway process under load, with its samples over time."""

    process: asyncio.subprocess.Process
    url: str
    state_dir: Path
    memory_samples: list[tuple[float, float]] = field(default_factory=list)
    worker_pids: set[int] = field(default_factory=set)

    async def monitor(self) -> None:
        """Record memory in MiB and worker processes until cancelled."""
        gateway = psutil.Process(self.process.pid)
        started_at = time.monotonic()
        while True:
            self.memory_samples.append((time.monotonic() - started_at, gateway.memory_info().rss / 2**20))
            self.worker_pids |= {child.pid for child in gateway.children()}
            await asyncio.sleep(_SAMPLE_INTERVAL_SECONDS)

    async def count_resources(self) -> ResourceCounts:
        return await asyncio.to_thread(count_resources, self.process.pid, self.state_dir, self.url, API_KEY)

    async def wait_for_release(self, baseline: ResourceCounts) -> ResourceCounts:
        """Wait until the gateway holds no more than `baseline`, or for a timeout, and return its resources."""
        return await wait_for_baseline(self.process.pid, self.state_dir, self.url, API_KEY, baseline)

    def median_memory_mib(self, start_seconds: float, end_seconds: float) -> float:
        """Return the median memory between two times of the monitoring."""
        return statistics.median(
            [mib for at, mib in self.memory_samples if start_seconds <= at <= end_seconds] or [0.0]
        )


@asynccontextmanager
async def run_monitored_gateway(
    upstream: FakeAnthropic, directory: Path, cli_path: Path, overrides: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[MonitoredGateway]:
    """Run `claude-gateway serve` with the program at `cli_path` as its CLI."""
    log = directory / "log"
    state_dir = directory / "state"
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "ANTHROPIC_BASE_URL": upstream.url}
    env |= GATEWAY_SETTINGS | {"CLAUDE_CLI_PATH": str(cli_path), "STATE_DIR": str(state_dir), **overrides}
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claude_gateway.cli.main", "serve"), env=env, cwd=directory, stderr=stderr
        )
    try:
        async with asyncio.timeout(60):
            while "serves on" not in (output := await asyncio.to_thread(log.read_text)):
                assert process.returncode is None, output
                await asyncio.sleep(0.1)
        url = next(line for line in output.splitlines() if "serves on" in line).split()[-1]
        yield MonitoredGateway(process, url, state_dir)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def wait_all_workers_ready(gateway: MonitoredGateway) -> None:
    """Wait until every worker process has started."""
    async with asyncio.timeout(60):
        while (await gateway.count_resources()).records < WORKER_COUNT + 1:  # noqa: ASYNC110 - the gateway sends no event
            await asyncio.sleep(0.1)
