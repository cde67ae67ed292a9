"""Number, memory and starts of the chat processes of a gateway."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import psutil

from bench.agents import is_session_process
from bench.parts import API_KEY, GatewayProcess

_TIMEOUT_SECONDS = 30
# The gateway counts as settled if no process has started for this time.
_SETTLED_SECONDS = 0.6
_POLL_SECONDS = 0.1
_METRIC = re.compile(r'^gateway_(\w+)\{([^}]*)pool="chat"([^}]*)\} (\S+)$', re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """Figures about the chat processes of a gateway, from its metrics.

    Attributes:
        start_count: The number of processes that have started since the start of the gateway.
        load_counts: The number of jobs by the source of their history.
        phase_counts: The number of processes by phase.
    """

    start_count: int
    load_counts: Mapping[str, int]
    phase_counts: Mapping[str, int]


def parse_process_figures(text: str) -> ProcessFigures:
    """Read the figures from the response of `/metrics`."""
    start_count = 0
    load_counts: Counter[str] = Counter()
    phase_counts: Counter[str] = Counter()
    for name, before, after, value in _METRIC.findall(text):
        labels = dict(_LABEL.findall(before + after))
        match name:
            case "worker_start_duration_seconds_count":
                start_count = int(float(value))
            case "conversation_loads_total":
                load_counts[labels["source"]] = int(float(value))
            case "workers":
                phase_counts[labels["phase"]] = int(float(value))
    return ProcessFigures(start_count, load_counts, phase_counts)


def compute_reused_share(before: ProcessFigures, after: ProcessFigures) -> float:
    """Return the share of the jobs between two moments whose conversation was in a process, from 0 to 1."""
    counts = Counter(after.load_counts)
    counts.subtract(before.load_counts)
    return counts["reused"] / max(1, counts.total())


def open_session(gateway: GatewayProcess, api_key: str = API_KEY) -> aiohttp.ClientSession:
    """Return a session whose requests have an API key and may take as long as they need."""
    headers = {"Authorization": f"Bearer {api_key}"}
    return aiohttp.ClientSession(gateway.url, headers=headers, timeout=aiohttp.ClientTimeout())


async def create_api_keys(gateway: GatewayProcess, count: int) -> list[str]:
    """Create API keys in a gateway."""
    keys = []
    async with open_session(gateway) as session:
        for number in range(count):
            async with session.post("/v1/admin/keys", json={"name": f"key-{number}"}) as response:
                if response.status != HTTPStatus.CREATED:
                    raise RuntimeError(f"no key was created: {await response.text()}")
                keys.append(str((await response.json())["key"]))
    return keys


async def read_process_figures(gateway: GatewayProcess) -> ProcessFigures:
    """Return the present figures of a gateway."""
    async with open_session(gateway) as session, session.get("/metrics") as response:
        return parse_process_figures(await response.text())


async def wait_until_settled(gateway: GatewayProcess) -> ProcessFigures:
    """Wait until a gateway has started all the processes that it wants, and return the figures after that."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        figures = await read_process_figures(gateway)
        while True:
            await asyncio.sleep(_SETTLED_SECONDS)
            earlier, figures = figures, await read_process_figures(gateway)
            if figures.start_count == earlier.start_count and not figures.phase_counts.get("starting"):
                return figures


def read_process_memory_mib(gateway: GatewayProcess) -> list[float]:
    """Return the memory of each Claude Code process of a gateway."""
    return [
        process.memory_info().rss / 2**20
        for process in psutil.Process(gateway.pid).children(recursive=True)
        if is_session_process(process)
    ]


async def wait_for_process_count(gateway: GatewayProcess, max_count: int, timeout_seconds: float) -> bool:
    """Wait until a gateway has no more processes than this. Return False if it still has more after the time-out."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while len(read_process_memory_mib(gateway)) > max_count:  # noqa: ASYNC110 - another process gives no event
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return False
    return True
