"""A `claude` binary driven with nothing in between: the command lines and environments are those of our workers."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn
from workers.frames import Frame
from workers.job import Block, Text, Turn
from workers.launch import agent_arguments, agent_environment, command_line, environment
from workers.process import Process
from workers.protocol import ControlRefused, Protocol, State
from workers.record import Resumption
from workers.settings import AuthMethod, LaunchSettings

MODEL = "claude-sonnet-4-5-20250929"
OTHER_MODEL = "claude-opus-4-20250514"
REFUSED = "No rule allows this."
_PATIENCE_SECONDS = 20


class Cli:
    """One process and its side of the conversation. `successor` starts another that takes up what an agent's wrote."""

    def __init__(
        self,
        process: Process,
        protocol: Protocol,
        successor: Callable[[Resumption], AbstractAsyncContextManager["Cli"]] | None = None,
    ) -> None:
        self.process = process
        self.protocol = protocol
        self.successor = successor

    async def send(self, *frames: Frame) -> list[Frame]:
        """Send, answer what it asks, and return all that comes back until it is idle and owes no answer.

        Raises `ControlRefused`, `EOFError` where it ends, `TimeoutError` where it falls silent.
        """
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.process.write(*frames)
            seen: list[Frame] = []
            while self.protocol.waits_for_control or self.protocol.state is not State.IDLE:
                seen += await self.receive()
            return seen

    async def receive(self) -> list[Frame]:
        """The next frames, taken by the protocol and answered."""
        frames = await self.process.read()
        if not frames:
            raise EOFError(f"it ended: {self.process.last_words()[-200:]}")
        for frame in frames:
            if (reply := self.protocol.receive(frame)) is not None:
                await self.process.write(reply)
        return frames

    async def ask(self, *turns: Turn | str) -> list[Frame]:
        """All that comes back for the last of the turns; those before are put back first."""
        *past, newest = [user(turn) if isinstance(turn, str) else turn for turn in turns]
        for turn in past:
            if turn.role == "user":
                await self.send(self.protocol.load(turn))
            else:
                await self.process.write(self.protocol.append(turn, MODEL))
        return await self.send(self.protocol.ask(newest))

    async def refusal(self, frame: Frame) -> str:
        """What it says to a request that it refuses; "" where it takes it."""
        try:
            await self.send(frame)
        except ControlRefused as error:
            return error.message
        return ""


def user(*blocks: Block | str) -> Turn:
    return Turn("user", tuple(Text(block) if isinstance(block, str) else block for block in blocks))


def result(frames: list[Frame]) -> Frame:
    return next(frame for frame in frames if frame["type"] == "result")


def last(upstream: StandIn) -> dict[str, Any]:
    """The body of the newest request that the model would have seen."""
    return upstream.chats[-1].body


def texts(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    return [content] if isinstance(content, str) else [block["text"] for block in content if block["type"] == "text"]


@asynccontextmanager
async def bare_cli(
    binary: Path,
    upstream: StandIn,
    directory: Path,
    tools: tuple[str, ...] | None,
    conversation: Path | None = None,
    login: AuthMethod = AuthMethod.API_KEY,
) -> AsyncIterator[Cli]:
    """A chat worker's process, past its start; or an agent's, outside of any box, before it."""
    launch = LaunchSettings(binary, login, MODEL, _credentials(login, upstream.url))
    host = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(directory)}
    if tools is not None:
        async with _agent(launch, directory, host, tools) as cli:
            yield cli
        return
    argv, protocol = command_line(launch, conversation), Protocol()
    env = environment(launch, directory, host, MODEL if conversation else None)
    # Otherwise it would ask Google for a token.
    env |= {"CLAUDE_CODE_SKIP_VERTEX_AUTH": "1"} if login is AuthMethod.VERTEX else {}
    async with _running(argv, env, directory) as process:
        cli = Cli(process, protocol)
        await cli.send(protocol.initialize())
        yield cli


def _credentials(login: AuthMethod, url: str) -> dict[str, str]:
    match login:
        case AuthMethod.API_KEY:
            return {"ANTHROPIC_API_KEY": STAND_IN_KEY, "ANTHROPIC_BASE_URL": url}
        case AuthMethod.CLI:
            return {"CLAUDE_CODE_OAUTH_TOKEN": STAND_IN_KEY, "ANTHROPIC_BASE_URL": url}
        case AuthMethod.BEDROCK:
            region = {"AWS_REGION": "us-east-1", "ANTHROPIC_BEDROCK_BASE_URL": url}
            return {"AWS_BEARER_TOKEN_BEDROCK": STAND_IN_KEY, **region}
        case AuthMethod.VERTEX:
            project = {"ANTHROPIC_VERTEX_PROJECT_ID": "stand-in", "CLOUD_ML_REGION": "us-east5"}
            return {"ANTHROPIC_VERTEX_BASE_URL": url, **project}


@asynccontextmanager
async def _agent(
    launch: LaunchSettings,
    directory: Path,
    host: dict[str, str],
    tools: tuple[str, ...],
    resumption: Resumption | None = None,
) -> AsyncIterator[Cli]:
    arguments = agent_arguments(launch, tools, boxed=False, resumption=resumption)
    # It writes its conversation down, as it does in a box.
    argv = (str(launch.cli_path), *(word for word in arguments if word != "--no-session-persistence"))
    env = agent_environment(launch, directory, host, None, resumption.model if resumption else None)
    protocol = Protocol(refusal=lambda _: REFUSED)
    async with _running(argv, env, directory) as process:
        yield Cli(process, protocol, partial(_agent, launch, directory, host, tools))


@asynccontextmanager
async def _running(argv: tuple[str, ...], env: dict[str, str], directory: Path) -> AsyncIterator[Process]:
    process = await Process.spawn(argv, env, directory)
    try:
        yield process
    finally:
        process.kill()
        await process.ended()
