"""The processes of a bench run: the stand-in upstream, the gateway, and bare CLI workers (the floor)."""

import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_gateway.claude_code.bundled_cli import bundled_cli
from claude_gateway.demo.upstream import STAND_IN_KEY
from workers.job import Text, Turn
from workers.launch import command_line, environment
from workers.process import Process
from workers.protocol import Protocol, State
from workers.settings import AuthMethod, LaunchSettings

MODEL = "claude-sonnet-4-5-20250929"
API_KEY = "bench-key"


def base_environment(home: str) -> dict[str, str]:
    """Nothing of the machine's own settings takes part in a measurement."""
    return {"PATH": os.environ["PATH"], "HOME": home}


@asynccontextmanager
async def child(*arguments: str, env: dict[str, str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A Python child and the first line it prints on stderr; ended by its id when the `with` is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env=env,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        # As systemd starts services: Linux shares the processor between sessions.
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            line = (await process.stderr.readline()).decode().strip()
        if process.returncode is not None or not line:
            raise RuntimeError(f"{arguments} did not start: {line}")
        yield process, line
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def upstream_process() -> AsyncIterator[str]:
    """The stand-in in a process of its own; yields its URL."""
    with tempfile.TemporaryDirectory() as home:
        async with child("-m", "bench.upstream", env=base_environment(home)) as (_, line):
            yield line.split()[-1]


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    url: str
    pid: int
    seconds_to_serve: float


@asynccontextmanager
async def gateway_process(upstream: str, **settings: str) -> AsyncIterator[GatewayProcess]:
    """`claude-gateway serve` in a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        env = base_environment(home) | {
            "PORT": "0",
            "CLAUDE_WRAPPER_HOST": "127.0.0.1",
            "API_KEY": API_KEY,
            "CLAUDE_AUTH_METHOD": "api_key",
            # As the bare CLI beside it: a switch of model costs a request of its own.
            "DEFAULT_MODEL": MODEL,
            "ANTHROPIC_API_KEY": STAND_IN_KEY,
            "ANTHROPIC_BASE_URL": upstream,
            "RATE_LIMIT_ENABLED": "false",
            **settings,
        }
        began = time.perf_counter()
        async with child("-m", "claude_gateway.cli", "serve", env=env) as (process, line):
            yield GatewayProcess(line.split()[-1], process.pid, time.perf_counter() - began)


class BareWorker:
    """One CLI process driven with nothing in between: a prompt, its frames, an empty conversation again."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._protocol = Protocol()
        self._asked: list[str] = []

    async def boot(self) -> None:
        await self._process.write(self._protocol.initialize(), self._protocol.set_thinking_budget(0))
        while self._protocol.state is not State.IDLE or self._protocol.waits_for_control:
            await self._frames()

    async def ask(self, prompt: str) -> list[tuple[float, str]]:
        """Each text delta with its time of arrival (`time.monotonic`); the conversation stays as it is."""
        deltas = []
        question = self._protocol.ask(Turn("user", (Text(prompt),)))
        self._asked.append(question["uuid"])
        await self._process.write(question)
        while self._protocol.state is State.ANSWERING:
            for frame in await self._frames():
                delta = frame.get("event", {}).get("delta", {})
                if delta.get("type") == "text_delta":
                    deltas.append((time.monotonic(), delta["text"]))
        return deltas

    async def forget(self) -> None:
        """Empty the conversation in the cheapest way there is, which the gateway takes too."""
        await self._process.write(self._protocol.rewind(self._asked[0], self._asked[-1]))
        self._asked.clear()
        while self._protocol.waits_for_control:
            await self._frames()

    async def _frames(self) -> list[dict[str, Any]]:
        frames = await self._process.read()
        for frame in frames:
            self._protocol.receive(frame)
        return frames

    async def end(self) -> None:
        self._process.kill()
        await self._process.ended()


@asynccontextmanager
async def bare_workers(upstream: str, count: int) -> AsyncIterator[list[BareWorker]]:
    """The floor: `count` processes with the very command line and environment that the gateway gives its own."""
    launch = LaunchSettings(
        bundled_cli(),
        AuthMethod.API_KEY,
        MODEL,
        {"ANTHROPIC_API_KEY": STAND_IN_KEY, "ANTHROPIC_BASE_URL": upstream},
    )
    async with AsyncExitStack() as stack:
        workers = []
        for _ in range(count):
            home = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            env = environment(launch, Path(home), base_environment(home))
            worker = BareWorker(await Process.spawn(command_line(launch), env, Path(home)))
            stack.push_async_callback(worker.end)
            workers.append(worker)
        await asyncio.gather(*(worker.boot() for worker in workers))
        yield workers


Messages = list[dict[str, str]]


def past(turns: int) -> Messages:
    """So many exchanges that no worker has had, nor any of their beginnings."""
    name = uuid.uuid4()
    return [
        message
        for number in range(turns)
        for message in (
            {"role": "user", "content": f"question {number} of {name}"},
            {"role": "assistant", "content": f"answer {number}"},
        )
    ]


def body(prompt: str, history: Messages) -> bytes:
    """A streamed chat request."""
    messages = [*history, {"role": "user", "content": prompt}]
    return json.dumps({"model": MODEL, "messages": messages, "stream": True}).encode()
