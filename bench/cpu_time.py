"""Benchmark of the processor time that the gateway's own process spends on a short job and on a delta of a stream.

Processor time depends less on the load of the machine than the duration of a job does. If another checkout of this
repository is given as the baseline, its gateway runs at the same time, and both gateways get the same jobs in turns.
"""

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import truediv
from pathlib import Path
from typing import Any

import aiohttp

from bench.parts import API_KEY, MODEL, GatewayProcess, run_gateway_process, run_upstream_process

BenchResult = dict[str, Any]
Json = dict[str, Any]

_SHORT_PROMPT = "one two three four five"
_SHORT_DELTA_COUNT = 5
_JOBS_PER_ROUND = 12
# One stream is as fast as the upstream and the CLI can send it, so that a read from the CLI brings several deltas. In
# the other one, each delta arrives alone, as the deltas of a model do.
_FAST_DELTA_COUNT = 4_000
_PACED_DELTA_COUNT = 100
_PACE_SECONDS = 0.006
_WARM_UP_JOBS = 5
_MAX_OUTPUT_TOKENS = 8_000
_PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
_DELTA_MARKS = {"chat": b'"delta":{"content":"', "messages": b"event: content_block_delta"}


@dataclass(frozen=True, slots=True)
class _Subject:
    """A gateway whose processor time is measured, with the microseconds of each round by the name of the figure."""

    gateway: GatewayProcess
    session: aiohttp.ClientSession
    samples: dict[str, list[float]] = field(default_factory=dict)

    def read_cpu_seconds(self) -> float:
        """Return the processor time of all threads of the gateway's process, without its child processes."""
        # The id of the processor clock of a process, as `clock_getcpuclockid` computes it. /proc has only steps of
        # 10 ms.
        return time.clock_gettime((~self.gateway.pid << 3) | 2)

    def add_sample(self, name: str, microseconds: float) -> None:
        self.samples.setdefault(name, []).append(microseconds)


async def measure_cpu_time(rounds: int, baseline: Path | None = None) -> BenchResult:
    """Measure the processor time of the gateway in microseconds: for each short job, and for each delta of a stream.

    Args:
        rounds: The number of rounds. Each figure is the median of the rounds.
        baseline: Another checkout of this repository. For each figure, the result then also has the baseline's figure,
            and the median of the ratios of this gateway to the baseline in each round.
    """
    async with run_upstream_process() as upstream, _run_subject(upstream) as subject:
        if baseline is None:
            await _run_rounds(rounds, [subject])
            return _compute_medians(subject)
        async with _run_subject(upstream, baseline) as baseline_subject:
            await _run_rounds(rounds, [subject, baseline_subject])
    return {
        **_compute_medians(subject),
        **{f"baseline_{name}": value for name, value in _compute_medians(baseline_subject).items()},
        **{
            f"{name.removesuffix('_us')}_ratio": _compute_median_ratio(samples, baseline_subject.samples[name])
            for name, samples in subject.samples.items()
        },
    }


@asynccontextmanager
async def _run_subject(upstream_url: str, checkout: Path | None = None) -> AsyncIterator[_Subject]:
    settings = {"CHAT_WORKERS": "1", "CHAT_SPARE_WORKERS": "0", "MAX_WORKER_JOBS": "100000"}
    async with (
        run_gateway_process(upstream_url, checkout, **settings) as gateway,
        aiohttp.ClientSession(gateway.url, headers={"Authorization": f"Bearer {API_KEY}"}) as session,
    ):
        yield _Subject(gateway, session)


async def _run_rounds(rounds: int, subjects: list[_Subject]) -> None:
    """Measure each figure once in each round. The subjects take turns, so that the load of the machine affects both."""
    for subject in subjects:
        for dialect in _PATHS:
            for _ in range(_WARM_UP_JOBS):
                await _send(subject, dialect, _SHORT_PROMPT, _SHORT_DELTA_COUNT)
                await _send(subject, dialect, _SHORT_PROMPT)
    for number in range(rounds):
        ordered = subjects if number % 2 else subjects[::-1]
        for dialect in _PATHS:
            for subject in ordered:
                subject.add_sample(f"{dialect}_job_us", await _measure_jobs(subject, dialect, 0))
            for subject in ordered:
                subject.add_sample(
                    f"{dialect}_streamed_job_us", await _measure_jobs(subject, dialect, _SHORT_DELTA_COUNT)
                )
            for subject in ordered:
                await _measure_deltas(subject, dialect, "fast", _FAST_DELTA_COUNT, "")
            for subject in ordered:
                directive = f"{{{{pace {_PACE_SECONDS}}}}}"
                await _measure_deltas(subject, dialect, "paced", _PACED_DELTA_COUNT, directive)


async def _measure_jobs(subject: _Subject, dialect: str, delta_count: int) -> float:
    """Return the microseconds of one short job, streamed if a number of deltas is given."""
    started_at = subject.read_cpu_seconds()
    for _ in range(_JOBS_PER_ROUND):
        await _send(subject, dialect, _SHORT_PROMPT, delta_count)
    return (subject.read_cpu_seconds() - started_at) * 1e6 / _JOBS_PER_ROUND


async def _measure_deltas(subject: _Subject, dialect: str, name: str, delta_count: int, directive: str) -> None:
    """Measure a stream with this number of deltas.

    The time of a whole short job is subtracted from the time of the stream, so that the rest is the time of the deltas.
    """
    started_at = subject.read_cpu_seconds()
    await _send(subject, dialect, f"{{{{deltas {delta_count}}}}}{directive}", delta_count)
    used_us = (subject.read_cpu_seconds() - started_at) * 1e6
    job_us = subject.samples[f"{dialect}_streamed_job_us"][-1]
    subject.add_sample(f"{dialect}_{name}_delta_us", (used_us - job_us) / (delta_count - _SHORT_DELTA_COUNT))


async def _send(subject: _Subject, dialect: str, prompt: str, delta_count: int = 0) -> None:
    """Send a request and read its response. It must be a stream with this number of deltas; with 0, it is one body."""
    body: Json = {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "stream": bool(delta_count),
        "max_tokens": _MAX_OUTPUT_TOKENS,
    }
    async with subject.session.post(_PATHS[dialect], json=body) as response:
        content = await response.read()
    received_count = content.count(_DELTA_MARKS[dialect])
    if response.status != 200 or received_count != delta_count:
        raise RuntimeError(
            f"{dialect} responded with {response.status} and {received_count} deltas instead of {delta_count}: "
            f"{content[:200]!r}"
        )


def _compute_medians(subject: _Subject) -> dict[str, float]:
    return {name: round(statistics.median(samples), 1) for name, samples in subject.samples.items()}


def _compute_median_ratio(samples: list[float], baseline_samples: list[float]) -> float:
    ratios: list[float] = list(map(truediv, samples, baseline_samples))
    return round(statistics.median(ratios), 3)
