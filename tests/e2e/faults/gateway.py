"""A gateway in a process of its own, and what is seen of it from outside while it works."""

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

from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn
from tests.e2e.conftest import MODEL
from tests.e2e.faults.leftovers import Holdings, holdings, settled

KEY = "a-key-of-the-soak"
WORKERS = 4
SETTINGS = {
    "PORT": "0",
    "CLAUDE_WRAPPER_HOST": "127.0.0.1",
    "API_KEY": KEY,
    "CLAUDE_AUTH_METHOD": "api_key",
    "DEFAULT_MODEL": MODEL,
    "ANTHROPIC_API_KEY": STAND_IN_KEY,
    "CHAT_WORKERS": str(WORKERS),
    "CHAT_SPARE_WORKERS": "1",
    # Fewer than there are callers: some are always told to come again.
    "QUEUE_LIMIT": "24",
    "MAX_TIMEOUT": "10000",
    "WORKER_MAX_RSS_MIB": "200",
    "WORKER_MAX_JOBS": "200",
    # What is to be seen is the queue.
    "RATE_LIMIT_ENABLED": "false",
    "STREAM_HEAD_SECONDS": "1",
    "HEARTBEAT_SECONDS": "1",
    # Sessions come and go within a run.
    "SESSION_TTL_SECONDS": "60",
}
_SAMPLE_SECONDS = 2.0


@dataclass(slots=True)
class Soaked:
    """A gateway's process under load."""

    process: asyncio.subprocess.Process
    url: str
    state_dir: Path
    samples: list[tuple[float, float]] = field(default_factory=list)
    started: set[int] = field(default_factory=set)

    async def watch(self) -> None:
        """Note its memory, in MiB, and the workers it has, for as long as it runs."""
        gateway = psutil.Process(self.process.pid)
        began = time.monotonic()
        while True:
            self.samples.append((time.monotonic() - began, gateway.memory_info().rss / 2**20))
            self.started |= {child.pid for child in gateway.children()}
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def holds(self) -> Holdings:
        return await asyncio.to_thread(holdings, self.process.pid, self.state_dir, self.url, KEY)

    async def held_at_last(self, before: Holdings) -> Holdings:
        """What it holds once it has had the time to let go."""
        return await settled(self.process.pid, self.state_dir, self.url, KEY, before)

    def memory(self, since: float, until: float) -> float:
        """The median between two moments of the watch."""
        return statistics.median([mib for at, mib in self.samples if since <= at <= until] or [0.0])


@asynccontextmanager
async def soaked(
    upstream: StandIn, directory: Path, program: Path, changes: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Soaked]:
    """`claude-gateway serve` with `program` as its CLI."""
    log = directory / "log"
    state_dir = directory / "state"
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "ANTHROPIC_BASE_URL": upstream.url}
    env |= SETTINGS | {"CLAUDE_CLI_PATH": str(program), "STATE_DIR": str(state_dir), **changes}
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claude_gateway.cli", "serve"), env=env, cwd=directory, stderr=stderr
        )
    try:
        async with asyncio.timeout(60):
            while "serves on" not in (said := await asyncio.to_thread(log.read_text)):
                assert process.returncode is None, said
                await asyncio.sleep(0.1)
        url = next(line for line in said.splitlines() if "serves on" in line).split()[-1]
        yield Soaked(process, url, state_dir)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def warmed(gateway: Soaked) -> None:
    """Every process is up."""
    async with asyncio.timeout(60):
        while (await gateway.holds()).records < WORKERS + 1:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)
