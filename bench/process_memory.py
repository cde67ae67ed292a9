"""Benchmarks of the memory of all processes: after a burst of jobs, and over a scripted day."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.chat_user import ChatUser
from bench.client import connect_client
from bench.figures import BenchResult, add_baseline
from bench.parts import GatewayProcess, run_gateway_process, run_upstream_process
from bench.process_figures import create_api_keys, read_process_memory_mib, wait_for_process_count

_KEY_COUNT = 4
_SPARE_COUNT = 1
_IDLE_SECONDS = 3.0
# The time that the gateway may need beyond the idle time: the interval of its check, and the exits of the processes.
_MAX_EXTRA_SECONDS = 10.0
_DAY_IDLE_SECONDS = 5.0
_BURST_ROUNDS = 8
_BURST_PAUSE_SECONDS = 0.3
_SAMPLE_SECONDS = 1.0
_DAY_DIRECTIVES = "{{deltas 40}}{{pace 0.005}}"


@dataclass(frozen=True, slots=True)
class MemorySample:
    """The processes of a gateway at one moment of the day.

    Attributes:
        at_seconds: The time since the start of the day.
        part: The part of the day.
        process_count: The number of Claude Code processes.
        processes_mib: The memory of these processes.
        gateway_mib: The memory of the gateway's own process.
    """

    at_seconds: float
    part: str
    process_count: int
    processes_mib: float
    gateway_mib: float


async def measure_memory_return(baseline: Path | None = None) -> BenchResult:
    """Measure whether the memory of all processes returns to that of the spares after a burst of jobs of four keys.

    Args:
        baseline: Another checkout of this repository. The result then also has the figures of its gateway.
    """
    async with run_upstream_process() as upstream:
        figures = await _run_burst(upstream, None)
        baseline_figures = await _run_burst(upstream, baseline) if baseline else {}
    return add_baseline(figures, baseline_figures)


async def _run_burst(upstream_url: str, checkout: Path | None) -> BenchResult:
    async with _run_gateway(upstream_url, checkout, _IDLE_SECONDS) as (gateway, users):
        spare_memory = read_process_memory_mib(gateway)
        for _ in range(2):
            await asyncio.gather(*(user.ask() for user in users))
        ended_at = time.perf_counter()
        burst_memory = read_process_memory_mib(gateway)
        await wait_for_process_count(gateway, len(spare_memory), _IDLE_SECONDS + _MAX_EXTRA_SECONDS)
        seconds = time.perf_counter() - ended_at
        idle_memory = read_process_memory_mib(gateway)
    return {
        "spares": len(spare_memory),
        "spares_mib": round(sum(spare_memory)),
        "burst_processes": len(burst_memory),
        "burst_mib": round(sum(burst_memory)),
        "idle_processes": len(idle_memory),
        "idle_mib": round(sum(idle_memory)),
        "idle_ratio": round(sum(idle_memory) / sum(spare_memory), 2),
        "beyond_idle_time_s": round(seconds - _IDLE_SECONDS, 1),
    }


async def measure_day(baseline: Path | None = None) -> BenchResult:
    """Print the number and the memory of the processes over a scripted day with two bursts of jobs.

    Args:
        baseline: Another checkout of this repository. Its day is printed too.
    """
    figures: BenchResult = {}
    async with run_upstream_process() as upstream:
        for prefix, checkout in {"": None, "baseline_": baseline}.items():
            if prefix and checkout is None:
                continue
            samples = await _run_day(upstream, checkout)
            print(f"{prefix}day, with CHAT_PROCESS_IDLE_SECONDS={_DAY_IDLE_SECONDS:g}", *format_day(samples), sep="\n")
            figures |= {f"{prefix}{name}": value for name, value in summarize_day(samples).items()}
    return figures


async def _run_day(upstream_url: str, checkout: Path | None) -> list[MemorySample]:
    async with _run_gateway(upstream_url, checkout, _DAY_IDLE_SECONDS) as (gateway, users):
        samples: list[MemorySample] = []
        parts = ["night"]
        sampling = asyncio.create_task(_take_samples(gateway, parts, samples))
        await asyncio.sleep(2 * _SAMPLE_SECONDS)
        for name, next_name in (("morning", "noon"), ("evening", "night")):
            parts.append(name)
            for _ in range(_BURST_ROUNDS):
                await asyncio.gather(*(user.ask() for user in users))
                await asyncio.sleep(_BURST_PAUSE_SECONDS)
            parts.append(next_name)
            await asyncio.sleep(_DAY_IDLE_SECONDS + 4 * _SAMPLE_SECONDS)
        sampling.cancel()
    return samples


@asynccontextmanager
async def _run_gateway(
    upstream_url: str, checkout: Path | None, idle_seconds: float
) -> AsyncIterator[tuple[GatewayProcess, list[ChatUser]]]:
    """Run a gateway whose processes end after this time without a job, with a user for each of four keys.

    The block begins when only the spares are left.
    """
    settings = {
        "CHAT_WORKERS": "2",
        "CHAT_SPARE_WORKERS": str(_SPARE_COUNT),
        "CHAT_PROCESS_IDLE_SECONDS": str(idle_seconds),
    }
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(run_gateway_process(upstream_url, checkout, **settings))
        users = []
        for number, key in enumerate(await create_api_keys(gateway, _KEY_COUNT)):
            client = await stack.enter_async_context(connect_client(gateway.url, key))
            users.append(ChatUser(f"user-{number}", client, _DAY_DIRECTIVES))
        await wait_for_process_count(gateway, _SPARE_COUNT, idle_seconds + _MAX_EXTRA_SECONDS)
        yield gateway, users


async def _take_samples(gateway: GatewayProcess, parts: Sequence[str], samples: list[MemorySample]) -> None:
    """Add samples until the task is cancelled. The last of the parts is the present one."""
    started_at = time.perf_counter()
    for number in itertools.count():
        memory = read_process_memory_mib(gateway)
        gateway_mib = psutil.Process(gateway.pid).memory_info().rss / 2**20
        samples.append(MemorySample(time.perf_counter() - started_at, parts[-1], len(memory), sum(memory), gateway_mib))
        await asyncio.sleep(max(0.0, started_at + (number + 1) * _SAMPLE_SECONDS - time.perf_counter()))


def format_day(samples: Sequence[MemorySample]) -> list[str]:
    """Return the lines of a table of the samples. Successive samples with the same part and count share a line."""
    lines = ["   time  part     processes  all of them   gateway"]
    for (part, count), group in itertools.groupby(samples, lambda sample: (sample.part, sample.process_count)):
        same = list(group)
        processes_mib = max(sample.processes_mib for sample in same)
        gateway_mib = max(sample.gateway_mib for sample in same)
        lines.append(
            f"{same[0].at_seconds:5.0f} s  {part:8} {count:9}  {processes_mib:7.0f} MiB {gateway_mib:5.0f} MiB"
        )
    return lines


def summarize_day(samples: Sequence[MemorySample]) -> BenchResult:
    """Return the largest number of processes and the largest memory of the day, and both at the end of the day."""
    last = samples[-1]
    return {
        "max_processes": max(sample.process_count for sample in samples),
        "max_mib": round(max(sample.processes_mib for sample in samples)),
        "last_processes": last.process_count,
        "last_mib": round(last.processes_mib),
        "gateway_growth_mib": round(last.gateway_mib - samples[0].gateway_mib),
    }
