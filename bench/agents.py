"""Jobs with Claude's own tools: how soon each is asked of the upstream, and what many of them leave behind."""

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

from bench.parts import API_KEY, MODEL, GatewayProcess, gateway_process
from claude_gateway.demo.upstream import StandIn, stand_in

Figures = dict[str, Any]

_WORDS = '{{tool Bash {"command": "echo some > here"}}}{{then}}{{say done}}'
_WARMED = 10
_PATIENCE_SECONDS = 20
_TTL_SECONDS = 5


async def agents(sessions: int) -> Figures:
    """Milliseconds from a job's sending to its first request upstream, each in a session of its own and with a spare
    ready; then processes, directories and memory, once the sessions are over."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as state:
        settings = {
            "CHAT_WORKERS": "1",
            "CHAT_SPARE_WORKERS": "0",
            "STATE_DIR": state,
            "SESSION_TTL_SECONDS": str(_TTL_SECONDS),
        }
        settings |= {"RATE_LIMIT_ENABLED": "false"}
        async with stand_in() as upstream:
            async with gateway_process(upstream.url, **settings) as gateway:
                figures = await _jobs(gateway, upstream, sessions)
            figures["directories_before"] = len(_directories(state))
            await asyncio.sleep(_TTL_SECONDS)  # what is over is swept by the next gateway at its start
            async with gateway_process(upstream.url, **settings):
                await _until_no_more(lambda: _directories(state))
                figures["directories_left"] = len(_directories(state))
    return figures


async def _until_no_more(found: Callable[[], Sized]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while found() and time.monotonic() < end:  # noqa: ASYNC110 - of a process
        await asyncio.sleep(0.05)


async def _jobs(gateway: GatewayProcess, upstream: StandIn, sessions: int) -> Figures:
    process = psutil.Process(gateway.pid)
    took: list[float] = []
    memory = 0
    async with aiohttp.ClientSession(gateway.url, headers={"authorization": f"Bearer {API_KEY}"}) as http:
        for number in range(-1, sessions):  # the first has no spare yet
            if number == _WARMED:
                memory = process.memory_info().rss
            upstream.forget()
            sent = await _job(http, number)
            if number >= 0:
                took.append(upstream.chats[0].at - sent)
            await _spare(http)
        left = [child for child in process.children(recursive=True) if _is_of_a_session(child)]
        roster = await _roster(http)
    return {
        "first_request_p50_ms": _ms(statistics.median(took)),
        "first_request_p90_ms": _ms(statistics.quantiles(took, n=10)[-1]),
        "first_request_most_ms": _ms(max(took)),
        "processes_unaccounted": len(_roots(left, process.pid)) - len(roster),
        "grown_mib": round((process.memory_info().rss - memory) / 2**20, 1),
    }


async def _job(http: aiohttp.ClientSession, number: int) -> float:
    """Have one done; when it was sent."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": _WORDS}]}
    sent = time.perf_counter()
    more = {"enable_tools": True, "session_id": f"session-{number}"}
    async with http.post("/v1/chat/completions", json=body | more) as response:
        answer = await response.json()
        if response.status != 200 or answer["choices"][0]["message"]["content"].split() != [".", "done"]:
            raise RuntimeError(f"the gateway answered {response.status}: {answer}")
    return sent


async def _spare(http: aiohttp.ClientSession) -> None:
    """Wait until one is ready for the next job."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while "ready" not in [worker["phase"] for worker in await _roster(http)]:  # noqa: ASYNC110 - of a process
            await asyncio.sleep(0.05)


async def _roster(http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with http.get("/v1/admin/live") as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                workers: list[dict[str, Any]] = orjson.loads(line[6:])["workers"]
                return [worker for worker in workers if worker["kind"] == "agent"]
    raise RuntimeError("the gateway told nothing")


def _is_of_a_session(child: psutil.Process) -> bool:
    """Whether it still runs, and is none of the processes that read large requests."""
    try:
        return child.status() != psutil.STATUS_ZOMBIE and "claude_gateway.offload.child" not in child.cmdline()
    except psutil.NoSuchProcess:
        return False


def _roots(processes: list[psutil.Process], parent: int) -> list[int]:
    """The agents among its children, the chat worker aside."""
    return [one.pid for one in processes if one.ppid() == parent][1:]


def _directories(state: str) -> list[Path]:
    return [path for path in Path(state).glob(".claude-gateway-places/p-*") if path.is_dir()]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
