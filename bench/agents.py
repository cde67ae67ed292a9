"""Benchmark of jobs with built-in tools: time to the first upstream request, and leftovers of many sessions."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil

from bench.figures import BenchResult, to_ms
from bench.parts import API_KEY, MODEL, GatewayProcess, run_gateway_process
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, run_fake_anthropic

_PROMPT = '{{tool Bash {"command": "echo some > here"}}}{{then}}{{say done}}'
_WARMUP_SESSION_COUNT = 10
_TIMEOUT_SECONDS = 20
_TTL_SECONDS = 5


async def measure_agents(session_count: int) -> BenchResult:
    """Measure milliseconds from the request of a job to its first upstream request.

    Each job has its own session and finds a spare ready. Processes, directories and memory are counted once the
    sessions are over.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as state:
        settings = {
            "CHAT_WORKERS": "1",
            "CHAT_SPARE_WORKERS": "0",
            "STATE_DIR": state,
            "SESSION_TTL_SECONDS": str(_TTL_SECONDS),
        }
        settings |= {"RATE_LIMIT_ENABLED": "false"}
        async with run_fake_anthropic() as upstream:
            async with run_gateway_process(upstream.url, **settings) as gateway:
                figures = await _run_jobs(gateway, upstream, session_count)
            figures["directories_before"] = len(_workspace_dirs(state))
            await asyncio.sleep(_TTL_SECONDS)  # the next gateway removes expired sessions at its start
            async with run_gateway_process(upstream.url, **settings):
                await _wait_until_empty(lambda: _workspace_dirs(state))
                figures["leftover_directories"] = len(_workspace_dirs(state))
    return figures


async def _wait_until_empty(find_items: Callable[[], Sized]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while find_items() and time.monotonic() < deadline:  # noqa: ASYNC110 - another process gives no event
        await asyncio.sleep(0.05)


async def _run_jobs(gateway: GatewayProcess, upstream: FakeAnthropic, session_count: int) -> BenchResult:
    process = psutil.Process(gateway.pid)
    durations: list[float] = []
    rss_after_warmup = 0
    async with aiohttp.ClientSession(gateway.url, headers={"authorization": f"Bearer {API_KEY}"}) as http:
        for number in range(-1, session_count):  # the first session has no spare yet
            if number == _WARMUP_SESSION_COUNT:
                rss_after_warmup = process.memory_info().rss
            upstream.clear()
            sent_at = await _run_job(http, number)
            if number >= 0:
                durations.append(upstream.chat_requests[0].received_at - sent_at)
            await _wait_for_spare(http)
        children = [child for child in process.children(recursive=True) if is_session_process(child)]
        agents = await _list_agents(http)
    return {
        "first_request_p50_ms": to_ms(statistics.median(durations)),
        "first_request_p90_ms": to_ms(statistics.quantiles(durations, n=10)[-1]),
        "first_request_max_ms": to_ms(max(durations)),
        "leftover_processes": len(_agent_pids(children, process.pid)) - len(agents),
        "memory_growth_mib": round((process.memory_info().rss - rss_after_warmup) / 2**20, 1),
    }


async def _run_job(http: aiohttp.ClientSession, number: int) -> float:
    """Run a job in a session of its own; return the time at which its request was sent."""
    messages = [{"role": "user", "content": _PROMPT}]
    body = {"model": MODEL, "messages": messages, "enable_tools": True, "session_id": f"session-{number}"}
    sent_at = time.perf_counter()
    async with http.post("/v1/chat/completions", json=body) as response:
        reply = await response.json()
        if response.status != 200 or reply["choices"][0]["message"]["content"].split() != [".", "done"]:
            raise RuntimeError(f"the gateway responded with {response.status}: {reply}")
    return sent_at


async def _wait_for_spare(http: aiohttp.ClientSession) -> None:
    """Wait until a spare agent is ready for the next job."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        while "ready" not in [worker["phase"] for worker in await _list_agents(http)]:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)


async def _list_agents(http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with http.get("/v1/admin/live") as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                workers: list[dict[str, Any]] = orjson.loads(line[6:])["workers"]
                return [worker for worker in workers if worker["pool"] == "agent"]
    raise RuntimeError("the live stream of the gateway ended without an event")


def is_session_process(child: psutil.Process) -> bool:
    """Return whether a process is running and is not one of the processes that parse large requests."""
    try:
        return child.status() != psutil.STATUS_ZOMBIE and "claude_gateway.offload.child" not in child.cmdline()
    except psutil.NoSuchProcess:
        return False


def _agent_pids(processes: list[psutil.Process], parent_pid: int) -> list[int]:
    """Return the ids of the direct children without the first, which is the chat worker."""
    return [process.pid for process in processes if process.ppid() == parent_pid][1:]


def _workspace_dirs(state_dir: str) -> list[Path]:
    return [path for path in Path(state_dir).glob(".claude-gateway-workspaces/p-*") if path.is_dir()]
