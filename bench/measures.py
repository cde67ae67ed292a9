"""Benchmarks of chats. Each function returns plain figures.

The floor is the bare CLI. Floor and gateway are measured alternately, so that noise of the machine affects both.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import psutil

from bench.client import BenchClient, connect_client
from bench.figures import BenchResult, to_ms
from bench.parts import BareWorker, GatewayProcess, make_history, run_bare_workers, run_gateway_process
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic

_ROUND_COUNT = 5
_SHORT_PROMPT = "one two three four five six seven eight nine ten"


async def measure_first_token(gateway: GatewayProcess, workers: list[BareWorker], rounds: int) -> BenchResult:
    """Measure the milliseconds from the prompt to the first text with one client."""
    floor_seconds, gateway_seconds = [], []
    async with connect_client(gateway.url) as client:
        for number in range(rounds + 5):
            started_at = time.monotonic()
            deltas = await workers[0].send_prompt(_SHORT_PROMPT)
            bare_seconds = deltas[0][0] - started_at
            await workers[0].clear_conversation()
            sent_at, arrivals = await client.send_chat(_SHORT_PROMPT)
            if number >= 5:  # the first rounds warm up both
                floor_seconds.append(bare_seconds)
                gateway_seconds.append(arrivals[0][0] - sent_at)
    return {
        "floor_ms": to_ms(statistics.median(floor_seconds)),
        "gateway_ms": to_ms(statistics.median(gateway_seconds)),
        "added_ms": to_ms(statistics.median(gateway_seconds) - statistics.median(floor_seconds)),
    }


async def measure_spawn_per_request(upstream_url: str, rounds: int) -> BenchResult:
    """Measure the milliseconds to the first text if the CLI is started for every request."""
    durations = []
    for _ in range(rounds):
        started_at = time.monotonic()
        async with run_bare_workers(upstream_url, 1) as (worker,):
            deltas = await worker.send_prompt(_SHORT_PROMPT)
            durations.append(deltas[0][0] - started_at)
    return {"first_token_ms": to_ms(statistics.median(durations))}


async def measure_throughput(
    gateway: GatewayProcess, workers: list[BareWorker], client_count: int, duration_seconds: float
) -> BenchResult:
    """Measure the jobs per second with a number of clients, and the ratio of the slowest job to the median.

    The result is the median of several rounds, because the speed of a shared machine changes within seconds.
    """
    floors, gateways, slowest = [], [], []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect_client(gateway.url)) for _ in range(client_count)]
        bare = workers[: min(client_count, len(workers))]
        for _ in range(_ROUND_COUNT):
            counts, _ = await _run_repeatedly([_make_bare_job(worker) for worker in bare], duration_seconds)
            floors.append(sum(counts) / duration_seconds)
            counts, times = await _run_repeatedly([_make_gateway_job(client) for client in clients], duration_seconds)
            gateways.append(sum(counts) / duration_seconds)
            slowest.append(max(times) / statistics.median(times))
    return {
        "floor_jobs_s": round(statistics.median(floors), 1),
        "gateway_jobs_s": round(statistics.median(gateways), 1),
        "ratio": round(statistics.median(g / f for g, f in zip(gateways, floors, strict=True)), 3),
        "max_over_median": round(statistics.median(slowest), 2),
    }


async def measure_delta_latency(
    gateway: GatewayProcess, workers: list[BareWorker], delta_count: int, rounds: int
) -> BenchResult:
    """Measure the milliseconds from the fake Anthropic API to the client for each delta of a stream at an even pace.

    The added latency is the median of the rounds, because a single delay of the machine decides the 99th percentile of
    one round.
    """
    prompt = f"{{{{stamps {delta_count}}}}}{{{{pace 0.005}}}}"
    floors, gateways = [], []
    async with connect_client(gateway.url) as client:
        for _ in range(rounds):
            floors.append(_delta_delays(await workers[0].send_prompt(prompt)))
            await workers[0].clear_conversation()
            _, arrivals = await client.send_chat(prompt)
            gateways.append(_delta_delays(arrivals))
    floor_p99 = statistics.median(_percentile(delays, 99) for delays in floors)
    gateway_p99 = statistics.median(_percentile(delays, 99) for delays in gateways)
    return {
        "floor_p50_ms": to_ms(statistics.median(map(statistics.median, floors))),
        "floor_p99_ms": to_ms(floor_p99),
        "gateway_p50_ms": to_ms(statistics.median(map(statistics.median, gateways))),
        "gateway_p99_ms": to_ms(gateway_p99),
        "added_p99_ms": to_ms(gateway_p99 - floor_p99),
    }


async def measure_delta_rate(gateway: GatewayProcess, workers: list[BareWorker], delta_count: int) -> BenchResult:
    """Measure the deltas per second of one stream at full speed."""
    prompt = f"{{{{deltas {delta_count}}}}}"
    bare_arrivals = await workers[0].send_prompt(prompt)
    await workers[0].clear_conversation()
    async with connect_client(gateway.url) as client:
        _, arrivals = await client.send_chat(prompt)
    return {"floor_per_s": _deltas_per_second(bare_arrivals), "gateway_per_s": _deltas_per_second(arrivals)}


async def measure_idle_memory(gateway: GatewayProcess, connection_count: int) -> BenchResult:
    """Measure the memory of the gateway with idle keep-alive connections; each has sent one request."""
    process = psutil.Process(gateway.pid)
    before = process.memory_info().rss
    async with AsyncExitStack() as stack:
        for _ in range(connection_count):
            client = await stack.enter_async_context(connect_client(gateway.url))
            await client.get("/health")
        after = process.memory_info().rss
    return {"before_mib": before >> 20, "with_connections_mib": after >> 20, "connections": connection_count}


async def measure_history(gateway: GatewayProcess, turn_counts: list[int], rounds: int) -> BenchResult:
    """Measure the time to the first token by the length of the history.

    The history is replayed in an empty worker, or reused in the worker that already has it.
    """
    figures: BenchResult = {}
    async with connect_client(gateway.url) as client:
        for turns in turn_counts:
            durations = []
            for _ in range(rounds):
                sent_at, arrivals = await client.send_chat(_SHORT_PROMPT, make_history(turns))
                durations.append(arrivals[0][0] - sent_at)
            figures[f"replayed_{turns}_ms"] = to_ms(statistics.median(durations))
        for turns in turn_counts:
            figures[f"reused_{turns}_ms"] = to_ms(await _measure_reused_conversation(client, turns, rounds))
    longest, shortest = 100, min(turn_counts)  # a new process resumes longer histories instead of replaying them
    difference_ms = figures[f"replayed_{longest}_ms"] - figures[f"replayed_{shortest}_ms"]
    figures["per_turn_ms"] = round(difference_ms / (longest - shortest), 2)
    figures["reused_added_ms"] = round(figures[f"reused_{longest}_ms"] - figures[f"reused_{shortest}_ms"], 1)
    return figures


async def _measure_reused_conversation(client: BenchClient, turn_count: int, rounds: int) -> float:
    """Return the median of the seconds to the first token in turns of a conversation that one worker holds."""
    conversation = make_history(turn_count)
    durations = []
    for _ in range(rounds + 1):
        sent_at, arrivals = await client.send_chat(_SHORT_PROMPT, conversation)
        durations.append(arrivals[0][0] - sent_at)
        reply = "".join(text for _, text in arrivals)
        conversation += [{"role": "user", "content": _SHORT_PROMPT}, {"role": "assistant", "content": reply}]
    return statistics.median(durations[1:])  # the first turn replays the history


async def measure_readiness(upstream_url: str) -> BenchResult:
    """Measure the seconds from the start of the process until it serves, and until both of its workers are ready."""
    started_at = time.perf_counter()
    async with run_gateway_process(upstream_url, CHAT_WORKERS="2", CHAT_SPARE_WORKERS="0") as gateway:
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{gateway.url}/health/ready") as response:
                    workers = (await response.json())["checks"]["pool"]["workers"]
                if workers.get("ready") == 2:
                    break
                await asyncio.sleep(0.01)
        return {
            "serves_s": round(gateway.startup_seconds, 2),
            "all_workers_ready_s": round(time.perf_counter() - started_at, 2),
        }


async def measure_disconnect(rounds: int) -> BenchResult:
    """Measure the milliseconds from a client's disconnect until the upstream connection is closed.

    The function also measures the time until the first token of the next job on the only worker.
    """
    close_seconds, next_token_seconds = [], []
    async with run_fake_anthropic() as upstream:
        settings = {"CHAT_WORKERS": "1", "CHAT_SPARE_WORKERS": "0"}
        async with run_gateway_process(upstream.url, **settings) as gateway, connect_client(gateway.url) as next_client:
            await next_client.send_chat(_SHORT_PROMPT)
            for _ in range(rounds):
                upstream.clear()
                async with connect_client(gateway.url) as client:
                    await client.wait_first_delta("{{deltas 100000}}{{pace 0.01}}")
                    received = upstream.chat_requests[-1]
                    disconnected_at = time.monotonic()
                    client.disconnect()
                    next_job = asyncio.create_task(next_client.send_chat(_SHORT_PROMPT))
                    await received.disconnected.wait()
                    close_seconds.append(time.monotonic() - disconnected_at)
                    _, arrivals = await next_job
                    next_token_seconds.append(arrivals[0][0] - disconnected_at)
    return {
        "upstream_closed_ms": to_ms(statistics.median(close_seconds)),
        "next_first_token_ms": to_ms(statistics.median(next_token_seconds)),
    }


async def _run_repeatedly(
    jobs: list[Callable[[], Awaitable[None]]], duration_seconds: float
) -> tuple[list[int], list[float]]:
    """Run each job repeatedly for some seconds; return the number of runs of each job and the duration of every run."""
    counts = [0] * len(jobs)
    times: list[float] = []
    deadline = time.monotonic() + duration_seconds

    async def repeat(index: int) -> None:
        while time.monotonic() < deadline:
            started_at = time.monotonic()
            await jobs[index]()
            times.append(time.monotonic() - started_at)
            if time.monotonic() < deadline:
                counts[index] += 1

    await asyncio.gather(*(repeat(index) for index in range(len(jobs))))
    return counts, times


def _make_bare_job(worker: BareWorker) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        await worker.send_prompt(_SHORT_PROMPT)
        await worker.clear_conversation()

    return job


def _make_gateway_job(client: BenchClient) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        await client.send_chat(_SHORT_PROMPT)

    return job


def _delta_delays(arrivals: list[tuple[float, str]]) -> list[float]:
    """Return the seconds from send to arrival; for deltas that the CLI joined, from the oldest of them."""
    return [received_at - int(text.split()[0]) / 1e9 for received_at, text in arrivals]


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _deltas_per_second(arrivals: list[tuple[float, str]]) -> int:
    return round((len(arrivals) - 1) / (arrivals[-1][0] - arrivals[0][0]))
