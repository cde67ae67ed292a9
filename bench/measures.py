"""What is measured. Each function returns plain figures; floor and gateway take turns, so noise hits both."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import psutil

from bench.client import Caller, caller
from bench.parts import BareWorker, GatewayProcess, bare_workers, gateway_process, past
from claude_gateway.demo.upstream import stand_in

Figures = dict[str, Any]

_ROUNDS = 5
_SHORT = "one two three four five six seven eight nine ten"


async def first_token(gateway: GatewayProcess, workers: list[BareWorker], rounds: int) -> Figures:
    """Milliseconds from question to first text, one caller, floor and gateway in turns."""
    floor, through = [], []
    async with caller(gateway.url) as client:
        for number in range(rounds + 5):
            began = time.monotonic()
            deltas = await workers[0].ask(_SHORT)
            bare = deltas[0][0] - began
            await workers[0].forget()
            sent, arrivals = await client.ask(_SHORT)
            if number >= 5:  # the first rounds warm both up
                floor.append(bare)
                through.append(arrivals[0][0] - sent)
    return {
        "floor_ms": _ms(statistics.median(floor)),
        "gateway_ms": _ms(statistics.median(through)),
        "added_ms": _ms(statistics.median(through) - statistics.median(floor)),
    }


async def spawn_for_each(upstream: str, rounds: int) -> Figures:
    """What a gateway that starts the CLI for every request pays until the first text."""
    took = []
    for _ in range(rounds):
        began = time.monotonic()
        async with bare_workers(upstream, 1) as (worker,):
            deltas = await worker.ask(_SHORT)
            took.append(deltas[0][0] - began)
    return {"first_token_ms": _ms(statistics.median(took))}


async def throughput(gateway: GatewayProcess, workers: list[BareWorker], callers: int, seconds: float) -> Figures:
    """Jobs per second at a number of callers, and how evenly they were served.

    Several rounds in turns, and the median of their ratios: a shared machine's speed changes within seconds.
    """
    floors, throughs, slowest = [], [], []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(caller(gateway.url)) for _ in range(callers)]
        bare = workers[: min(callers, len(workers))]
        for _ in range(_ROUNDS):
            counts, _ = await _loop([_bare_job(worker) for worker in bare], seconds)
            floors.append(sum(counts) / seconds)
            counts, times = await _loop([_gateway_job(client) for client in clients], seconds)
            throughs.append(sum(counts) / seconds)
            slowest.append(max(times) / statistics.median(times))
    floor, through = statistics.median(floors), statistics.median(throughs)
    return {
        "floor_jobs_s": round(floor, 1),
        "gateway_jobs_s": round(through, 1),
        "ratio": round(statistics.median(t / f for t, f in zip(throughs, floors, strict=True)), 3),
        "slowest_over_median": round(statistics.median(slowest), 2),
    }


async def delta_latency(gateway: GatewayProcess, workers: list[BareWorker], deltas: int, rounds: int) -> Figures:
    """Milliseconds from the stand-in's send to arrival, for each delta of a stream at an even pace.

    Floor and gateway take turns; the added latency is the median over the rounds, since one hiccup of the machine
    decides the 99th percentile of one round.
    """
    prompt = f"{{{{stamps {deltas}}}}}{{{{pace 0.005}}}}"
    floors, throughs = [], []
    async with caller(gateway.url) as client:
        for _ in range(rounds):
            floors.append(_delays(await workers[0].ask(prompt)))
            await workers[0].forget()
            _, arrivals = await client.ask(prompt)
            throughs.append(_delays(arrivals))
    floor_p99 = statistics.median(_percentile(delays, 99) for delays in floors)
    through_p99 = statistics.median(_percentile(delays, 99) for delays in throughs)
    return {
        "floor_p50_ms": _ms(statistics.median(map(statistics.median, floors))),
        "floor_p99_ms": _ms(floor_p99),
        "gateway_p50_ms": _ms(statistics.median(map(statistics.median, throughs))),
        "gateway_p99_ms": _ms(through_p99),
        "added_p99_ms": _ms(through_p99 - floor_p99),
    }


async def delta_rate(gateway: GatewayProcess, workers: list[BareWorker], deltas: int) -> Figures:
    """Deltas per second through one stream, as fast as it goes."""
    prompt = f"{{{{deltas {deltas}}}}}"
    bare = await workers[0].ask(prompt)
    await workers[0].forget()
    async with caller(gateway.url) as client:
        _, arrivals = await client.ask(prompt)
    return {"floor_per_s": _rate(bare), "gateway_per_s": _rate(arrivals)}


async def idle_memory(gateway: GatewayProcess, connections: int) -> Figures:
    """The gateway process's memory with idle keep-alive connections, each of which has asked once."""
    process = psutil.Process(gateway.pid)
    before = process.memory_info().rss
    async with AsyncExitStack() as stack:
        for _ in range(connections):
            client = await stack.enter_async_context(caller(gateway.url))
            await client.get("/health")
        after = process.memory_info().rss
    return {"before_mib": before >> 20, "with_connections_mib": after >> 20, "connections": connections}


async def history(gateway: GatewayProcess, lengths: list[int], rounds: int) -> Figures:
    """First token by length of history: put into an empty worker, and going on in the worker that has it."""
    figures: Figures = {}
    async with caller(gateway.url) as client:
        for turns in lengths:
            took = []
            for _ in range(rounds):
                sent, arrivals = await client.ask(_SHORT, past(turns))
                took.append(arrivals[0][0] - sent)
            figures[f"rebuilt_{turns}_ms"] = _ms(statistics.median(took))
        for turns in lengths:
            figures[f"resident_{turns}_ms"] = _ms(await _resident(client, turns, rounds))
    most, least = 100, min(lengths)  # beyond it a fresh process takes the history up
    spread = figures[f"rebuilt_{most}_ms"] - figures[f"rebuilt_{least}_ms"]
    figures["per_turn_ms"] = round(spread / (most - least), 2)
    figures["resident_added_ms"] = round(figures[f"resident_{most}_ms"] - figures[f"resident_{least}_ms"], 1)
    return figures


async def _resident(client: Caller, turns: int, rounds: int) -> float:
    """Seconds to the first token of each of the last `rounds` turns of a conversation that was held for real."""
    conversation = past(turns)
    took = []
    for _ in range(rounds + 1):
        sent, arrivals = await client.ask(_SHORT, conversation)
        took.append(arrivals[0][0] - sent)
        answer = "".join(text for _, text in arrivals)
        conversation += [{"role": "user", "content": _SHORT}, {"role": "assistant", "content": answer}]
    return statistics.median(took[1:])


async def readiness(upstream: str) -> Figures:
    """Seconds from the start of the process until it serves, and until both of its workers are ready."""
    began = time.perf_counter()
    async with gateway_process(upstream, CHAT_WORKERS="2", CHAT_SPARE_WORKERS="0") as gateway:
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{gateway.url}/health/ready") as response:
                    workers = (await response.json())["checks"]["pool"]["workers"]
                if workers.get("ready") == 2:
                    break
                await asyncio.sleep(0.01)
        return {"serves_s": round(gateway.seconds_to_serve, 2), "all_ready_s": round(time.perf_counter() - began, 2)}


async def leaving(rounds: int) -> Figures:
    """Milliseconds from a caller's disconnect to the end of the upstream connection, and to the next first token
    on the only worker."""
    gone, next_token = [], []
    async with stand_in() as upstream:
        settings = {"CHAT_WORKERS": "1", "CHAT_SPARE_WORKERS": "0"}
        async with gateway_process(upstream.url, **settings) as gateway, caller(gateway.url) as following:
            await following.ask(_SHORT)
            for _ in range(rounds):
                upstream.forget()
                async with caller(gateway.url) as client:
                    await client.first_delta("{{deltas 100000}}{{pace 0.01}}")
                    received = upstream.chats[-1]
                    left = time.monotonic()
                    client.leave()
                    next_job = asyncio.create_task(following.ask(_SHORT))
                    await received.left.wait()
                    gone.append(time.monotonic() - left)
                    _, arrivals = await next_job
                    next_token.append(arrivals[0][0] - left)
    return {"upstream_gone_ms": _ms(statistics.median(gone)), "next_first_token_ms": _ms(statistics.median(next_token))}


async def _loop(jobs: list[Callable[[], Awaitable[None]]], seconds: float) -> tuple[list[int], list[float]]:
    """Run each job again and again for some seconds: how often each ran, and how long every run took."""
    counts = [0] * len(jobs)
    times: list[float] = []
    end = time.monotonic() + seconds

    async def repeat(index: int) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            await jobs[index]()
            times.append(time.monotonic() - began)
            if time.monotonic() < end:
                counts[index] += 1

    await asyncio.gather(*(repeat(index) for index in range(len(jobs))))
    return counts, times


def _bare_job(worker: BareWorker) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        await worker.ask(_SHORT)
        await worker.forget()

    return job


def _gateway_job(client: Caller) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        await client.ask(_SHORT)

    return job


def _delays(arrivals: list[tuple[float, str]]) -> list[float]:
    """Seconds from send to arrival. Deltas that the CLI joined count by the oldest of them."""
    return [at - int(text.split()[0]) / 1e9 for at, text in arrivals]


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _rate(arrivals: list[tuple[float, str]]) -> int:
    return round((len(arrivals) - 1) / (arrivals[-1][0] - arrivals[0][0]))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
