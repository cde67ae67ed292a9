"""Chats of the victim's key, one per second, and a monitor of the gateway's memory and health."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import psutil

from bench.client import connect_client

_PROMPT = "one two three four five six seven eight nine ten"
_CHAT_INTERVAL_SECONDS = 1.0
_RESPONSE_TIMEOUT_SECONDS = 60.0
_SAMPLE_INTERVAL_SECONDS = 0.1
_HEALTH_TIMEOUT_SECONDS = 10.0
_MAX_SLOWEST_CHATS = 5


@dataclass(slots=True)
class ChatStats:
    """Times and failures of chats.

    Attributes:
        started_at: Start of the measurement, by the monotonic clock.
        first_token_seconds: Seconds to the first token of each successful chat.
        slowest: Seconds to the first token and start of the slowest chats.
        failures: Number of failed chats by their error.
    """

    started_at: float = field(default_factory=time.monotonic)
    first_token_seconds: list[float] = field(default_factory=list)
    slowest: list[tuple[float, float]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, chat_started_at: float, seconds: float) -> None:
        """Add a successful chat with its seconds to the first token."""
        self.first_token_seconds.append(seconds)
        chat = (seconds, chat_started_at - self.started_at)
        self.slowest = sorted([*self.slowest, chat], reverse=True)[:_MAX_SLOWEST_CHATS]

    def slowest_ms(self) -> dict[str, float]:
        """Return the milliseconds of the slowest chats, by the second in which they started."""
        return {f"{offset:.0f}": round(seconds * 1000, 1) for seconds, offset in self.slowest}

    def p99_ms(self) -> float:
        """Return the 99th percentile of the milliseconds to the first token."""
        return round(percentile(self.first_token_seconds, 99) * 1000, 1)

    def median_ms(self) -> float:
        """Return the median of the milliseconds to the first token."""
        return round(percentile(self.first_token_seconds, 50) * 1000, 1)


def percentile(values: list[float], percent: int) -> float:
    """Return the value that `percent` of the values do not exceed; infinity for an empty list."""
    if not values:
        return float("inf")
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


async def run_chats(url: str, api_key: str, duration_seconds: float) -> ChatStats:
    """Start one chat per second, each on a connection of its own, and wait for all of them."""
    stats = ChatStats()
    deadline = time.monotonic() + duration_seconds
    next_start = time.monotonic()
    async with asyncio.TaskGroup() as chats:
        while next_start < deadline:
            chats.create_task(_run_chat(url, api_key, stats))
            next_start += _CHAT_INTERVAL_SECONDS
            await asyncio.sleep(max(0.0, next_start - time.monotonic()))
    return stats


async def _run_chat(url: str, api_key: str, stats: ChatStats) -> None:
    started_at = time.monotonic()
    try:
        async with asyncio.timeout(_RESPONSE_TIMEOUT_SECONDS), connect_client(url, api_key) as client:
            _, arrivals = await client.send_chat(_PROMPT)
    except (OSError, EOFError, RuntimeError, TimeoutError, ValueError) as error:
        stats.failures[f"{type(error).__name__}: {error}"[:100]] += 1
        return
    if "".join(text for _, text in arrivals).strip() == _PROMPT:
        stats.add(started_at, arrivals[0][0] - started_at)
    else:
        stats.failures["incomplete reply"] += 1


@dataclass(slots=True)
class GatewayMonitor:
    """Records the highest memory of the gateway and the slowest response of its health endpoint while `run` runs."""

    pid: int
    url: str
    max_memory_mib: float = 0.0
    max_health_seconds: float = 0.0

    def sample_memory_mib(self) -> float:
        """Measure the memory of the gateway once."""
        memory = psutil.Process(self.pid).memory_info().rss / 2**20
        self.max_memory_mib = max(self.max_memory_mib, memory)
        return float(memory)

    async def run(self) -> None:
        """Sample memory and health until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sample_memory())
            group.create_task(self._poll_health())

    async def _sample_memory(self) -> None:
        while True:
            self.sample_memory_mib()
            await asyncio.sleep(_SAMPLE_INTERVAL_SECONDS)

    async def _poll_health(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_HEALTH_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(self.url, timeout=timeout) as http:
            while True:
                started_at = time.monotonic()
                try:
                    async with http.get("/health/live") as response:
                        await response.read()
                except (aiohttp.ClientError, TimeoutError):
                    pass
                self.max_health_seconds = max(self.max_health_seconds, time.monotonic() - started_at)
                await asyncio.sleep(_SAMPLE_INTERVAL_SECONDS)

    async def wait_for_memory_mib(self, target_mib: float, timeout_seconds: float) -> float:
        """Wait until the memory is down to a target, at most for the timeout; return the memory then."""
        deadline = time.monotonic() + timeout_seconds
        while (memory := self.sample_memory_mib()) > target_mib and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_SAMPLE_INTERVAL_SECONDS)
        return memory
