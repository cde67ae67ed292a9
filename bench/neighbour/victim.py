"""The other key: a chat a second, whatever the answers do; and what is seen of the gateway meanwhile."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import psutil

from bench.client import caller

_PROMPT = "one two three four five six seven eight nine ten"
_EVERY_SECONDS = 1.0
_ANSWER_SECONDS = 60.0
_SAMPLE_SECONDS = 0.1
_LIVE_SECONDS = 10.0
_SLOWEST = 5


@dataclass(slots=True)
class Chats:
    """Seconds to the first token of each chat that was answered, and what became of the others."""

    began: float = field(default_factory=time.monotonic)
    first_tokens: list[float] = field(default_factory=list)
    slowest: list[tuple[float, float]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def note(self, began: float, seconds: float) -> None:
        self.first_tokens.append(seconds)
        self.slowest = sorted([*self.slowest, (seconds, began - self.began)], reverse=True)[:_SLOWEST]

    def slowest_ms(self) -> dict[str, float]:
        """The slowest, by the second in which they began."""
        return {f"{at:.0f}": round(seconds * 1000, 1) for seconds, at in self.slowest}

    def p99_ms(self) -> float:
        return round(at_percent(self.first_tokens, 99) * 1000, 1)

    def median_ms(self) -> float:
        return round(at_percent(self.first_tokens, 50) * 1000, 1)


def at_percent(values: list[float], percent: int) -> float:
    """The value that so many percent do not exceed; infinity for none at all."""
    if not values:
        return float("inf")
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


async def chat_for(url: str, key: str, seconds: float) -> Chats:
    """A chat a second, each on a connection of its own; all are waited for."""
    chats = Chats()
    until = time.monotonic() + seconds
    due = time.monotonic()
    async with asyncio.TaskGroup() as running:
        while due < until:
            running.create_task(_chat(url, key, chats))
            due += _EVERY_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return chats


async def _chat(url: str, key: str, chats: Chats) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), caller(url, key) as client:
            _, arrivals = await client.ask(_PROMPT)
    except (OSError, EOFError, RuntimeError, TimeoutError, ValueError) as error:
        chats.failures[f"{type(error).__name__}: {error}"[:100]] += 1
        return
    if "".join(text for _, text in arrivals).strip() == _PROMPT:
        chats.note(began, arrivals[0][0] - began)
    else:
        chats.failures["not the whole answer"] += 1


@dataclass(slots=True)
class Watch:
    """The gateway's memory and its slowest sign of life, as long as `run` runs."""

    pid: int
    url: str
    most_mib: float = 0.0
    slowest_live: float = 0.0

    def memory_mib(self) -> float:
        memory = psutil.Process(self.pid).memory_info().rss / 2**20
        self.most_mib = max(self.most_mib, memory)
        return float(memory)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._weigh())
            group.create_task(self._look())

    async def _weigh(self) -> None:
        while True:
            self.memory_mib()
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _look(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_LIVE_SECONDS)
        async with aiohttp.ClientSession(self.url, timeout=timeout) as http:
            while True:
                began = time.monotonic()
                try:
                    async with http.get("/health/live") as response:
                        await response.read()
                except (aiohttp.ClientError, TimeoutError):
                    pass
                self.slowest_live = max(self.slowest_live, time.monotonic() - began)
                await asyncio.sleep(_SAMPLE_SECONDS)

    async def settled_mib(self, wanted: float, patience: float) -> float:
        """The memory once it is down to `wanted`, or what it is after so many seconds."""
        until = time.monotonic() + patience
        while (memory := self.memory_mib()) > wanted and time.monotonic() < until:  # noqa: ASYNC110 - of a process
            await asyncio.sleep(_SAMPLE_SECONDS)
        return memory
