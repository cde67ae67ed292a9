"""Processes of a benchmark: the fake Anthropic API, the gateway, and bare CLI workers (the floor)."""

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

from claude_gateway.claude_code.binary import find_bundled_binary
from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY
from workers.cli.command import build_chat_command, build_environment
from workers.cli.process import Process
from workers.cli.protocol import CliProtocol, ProtocolState
from workers.core.job import Text, Turn
from workers.core.settings import AuthMethod, LaunchSettings

MODEL = "claude-sonnet-4-5-20250929"
API_KEY = "bench-key"


def minimal_environment(home: str) -> dict[str, str]:
    """Return an environment without settings of this machine, so that they do not affect a benchmark."""
    return {"PATH": os.environ["PATH"], "HOME": home}


@asynccontextmanager
async def run_python_child(
    *arguments: str, env: dict[str, str], directory: Path | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a Python process for the length of a `with`.

    Args:
        *arguments: The arguments of the interpreter.
        env: The whole environment.
        directory: The working directory, from which `-m` imports modules; None for the present one.

    Yields:
        The process, and the first line that it writes to stderr.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env=env,
        cwd=directory,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        # systemd starts services in sessions of their own too, and Linux shares the processor between sessions.
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
async def run_upstream_process() -> AsyncIterator[str]:
    """Run the fake Anthropic API in a process of its own; yield its URL."""
    with tempfile.TemporaryDirectory() as home:
        async with run_python_child("-m", "bench.upstream", env=minimal_environment(home)) as (_, line):
            yield line.split()[-1]


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """A running gateway, with the seconds from its start until it served."""

    url: str
    pid: int
    startup_seconds: float


@asynccontextmanager
async def run_gateway_process(
    upstream_url: str, checkout: Path | None = None, /, **settings: str
) -> AsyncIterator[GatewayProcess]:
    """Run `claude-gateway serve` in a process of its own.

    Args:
        upstream_url: The URL of the fake Anthropic API.
        checkout: The checkout of this repository whose gateway runs; None for this one.
        **settings: The settings of the gateway.
    """
    with tempfile.TemporaryDirectory() as home:
        env = gateway_environment(home, upstream_url, **settings)
        started_at = time.perf_counter()
        arguments = ("-m", "claude_gateway.cli.main", "serve")
        async with run_python_child(*arguments, env=env, directory=checkout) as (process, line):
            yield GatewayProcess(line.split()[-1], process.pid, time.perf_counter() - started_at)


def gateway_environment(home: str, upstream_url: str, **settings: str) -> dict[str, str]:
    """Return the whole environment of a gateway in front of the fake Anthropic API."""
    return minimal_environment(home) | {
        "PORT": "0",
        "CLAUDE_WRAPPER_HOST": "127.0.0.1",
        "API_KEY": API_KEY,
        "CLAUDE_AUTH_METHOD": "api_key",
        # The same model as the bare CLI, because a switch of the model costs a control request.
        "DEFAULT_MODEL": MODEL,
        "ANTHROPIC_API_KEY": FAKE_API_KEY,
        "ANTHROPIC_BASE_URL": upstream_url,
        "RATE_LIMIT_ENABLED": "false",
        **settings,
    }


class BareWorker:
    """One CLI process that is driven directly, without the engine."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._protocol = CliProtocol()
        self._prompt_ids: list[str] = []

    async def start(self) -> None:
        """Wait until the process accepts prompts."""
        await self._process.write(self._protocol.initialize(), self._protocol.set_thinking_budget(0))
        while self._protocol.state is not ProtocolState.IDLE or self._protocol.has_pending_controls:
            await self._receive_frames()

    async def send_prompt(self, prompt: str) -> list[tuple[float, str]]:
        """Send a prompt and keep the conversation.

        Returns:
            Each text delta with the time of its arrival, by `time.monotonic`.
        """
        deltas = []
        prompt_frame = self._protocol.prompt(Turn("user", (Text(prompt),)))
        self._prompt_ids.append(prompt_frame["uuid"])
        await self._process.write(prompt_frame)
        while self._protocol.state is ProtocolState.REPLYING:
            for frame in await self._receive_frames():
                delta = frame.get("event", {}).get("delta", {})
                if delta.get("type") == "text_delta":
                    deltas.append((time.monotonic(), delta["text"]))
        return deltas

    async def clear_conversation(self) -> None:
        """Remove the conversation by a rewind, which is the fastest way and the one that the gateway uses."""
        await self._process.write(self._protocol.rewind(self._prompt_ids[0], self._prompt_ids[-1]))
        self._prompt_ids.clear()
        while self._protocol.has_pending_controls:
            await self._receive_frames()

    async def _receive_frames(self) -> list[dict[str, Any]]:
        frames = await self._process.read()
        for frame in frames:
            self._protocol.receive(frame)
        return frames

    async def stop(self) -> None:
        """Kill the process and wait for its exit."""
        self._process.kill()
        await self._process.wait_exited()


@asynccontextmanager
async def run_bare_workers(upstream_url: str, count: int) -> AsyncIterator[list[BareWorker]]:
    """Run `count` CLI processes with the command line and environment that the gateway uses, as the floor."""
    launch = LaunchSettings(
        find_bundled_binary(),
        AuthMethod.API_KEY,
        MODEL,
        {"ANTHROPIC_API_KEY": FAKE_API_KEY, "ANTHROPIC_BASE_URL": upstream_url},
    )
    async with AsyncExitStack() as stack:
        workers = []
        for _ in range(count):
            home = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            env = build_environment(launch, Path(home), minimal_environment(home))
            worker = BareWorker(await Process.spawn(build_chat_command(launch), env, Path(home)))
            stack.push_async_callback(worker.stop)
            workers.append(worker)
        await asyncio.gather(*(worker.start() for worker in workers))
        yield workers


ChatMessages = list[dict[str, str]]


def make_history(exchange_count: int) -> ChatMessages:
    """Return a history of exchanges that is new to every worker from its first turn on."""
    conversation_id = uuid.uuid4()
    return [
        message
        for number in range(exchange_count)
        for message in (
            {"role": "user", "content": f"question {number} of {conversation_id}"},
            {"role": "assistant", "content": f"answer {number}"},
        )
    ]


def chat_request_body(prompt: str, history: ChatMessages) -> bytes:
    """Return the body of a streamed chat request."""
    messages = [*history, {"role": "user", "content": prompt}]
    return json.dumps({"model": MODEL, "messages": messages, "stream": True}).encode()
