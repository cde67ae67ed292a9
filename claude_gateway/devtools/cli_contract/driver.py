"""Functions that run a `claude` process for contract checks.

The process starts with the same command line and environment as the `claude` processes of the workers, but no worker
runs.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic
from workers.cli.command import build_agent_arguments, build_agent_environment, build_chat_command, build_environment
from workers.cli.process import Process
from workers.cli.protocol import CliProtocol, ControlRejectedError, ProtocolState
from workers.conversation.resume_index import ResumePoint
from workers.core.frame import Frame
from workers.core.job import Block, Text, Turn
from workers.core.settings import AuthMethod, LaunchSettings

MODEL = "claude-sonnet-4-5-20250929"
OTHER_MODEL = "claude-opus-4-20250514"
DENIAL_MESSAGE = "No rule allows this."
_TIMEOUT_SECONDS = 20


class CliDriver:
    """Connection to a running `claude` process, through which a contract check sends frames and receives frames.

    Args:
        process: The `claude` process.
        protocol: The state of the protocol between the driver and the process.
        start_successor: A function that starts a new agent process and makes it resume the conversation; None if the
            process is a chat process.
    """

    def __init__(
        self,
        process: Process,
        protocol: CliProtocol,
        start_successor: Callable[[ResumePoint], AbstractAsyncContextManager["CliDriver"]] | None = None,
    ) -> None:
        self.process = process
        self.protocol = protocol
        self.start_successor = start_successor

    async def send(self, *frames: Frame) -> list[Frame]:
        """Send frames to the CLI, and return all frames that the CLI sends until the CLI is idle.

        The driver also answers the control requests that the CLI sends.

        Raises:
            ControlRejectedError: The CLI rejected a control request.
            EOFError: The process exited.
            TimeoutError: The CLI was not idle within the time limit.
        """
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await self.process.write(*frames)
            received: list[Frame] = []
            while self.protocol.has_pending_controls or self.protocol.state is not ProtocolState.IDLE:
                received += await self.receive()
            return received

    async def receive(self) -> list[Frame]:
        """Receive the next frames from the CLI, update the protocol state, and answer control requests in the frames.

        Returns:
            The received frames.

        Raises:
            EOFError: The process exited.
        """
        frames = await self.process.read()
        if not frames:
            raise EOFError(f"the process exited: {self.process.stderr_tail()[-200:]}")
        for frame in frames:
            if (reply := self.protocol.receive(frame)) is not None:
                await self.process.write(reply)
        return frames

    async def ask(self, *turns: Turn | str) -> list[Frame]:
        """Send a conversation whose last turn is the prompt, and return the frames with which the CLI replies.

        Args:
            *turns: The turns of the conversation, oldest first. A string is a turn of the user.
        """
        *history, prompt = [user_turn(turn) if isinstance(turn, str) else turn for turn in turns]
        for turn in history:
            if turn.role == "user":
                await self.send(self.protocol.replay_user(turn))
            else:
                await self.process.write(self.protocol.replay_assistant(turn, MODEL))
        return await self.send(self.protocol.prompt(prompt))

    async def send_expecting_error(self, frame: Frame) -> str:
        """Send a control request, and return the error message of the CLI, or "" if the CLI accepts the request."""
        try:
            await self.send(frame)
        except ControlRejectedError as error:
            return error.message
        return ""


def user_turn(*blocks: Block | str) -> Turn:
    """Return a turn of the user with the given blocks. A string becomes a text block."""
    return Turn("user", tuple(Text(block) if isinstance(block, str) else block for block in blocks))


def find_result(frames: list[Frame]) -> Frame:
    """Return the first frame of type `result`. The CLI sends such a frame at the end of each reply."""
    return next(frame for frame in frames if frame["type"] == "result")


def last_request_body(upstream: FakeAnthropic) -> dict[str, Any]:
    """Return the body of the newest chat request that the fake Anthropic API has received."""
    return upstream.chat_requests[-1].body


def message_texts(message: dict[str, Any]) -> list[str]:
    """Return the text of each text block in a message."""
    content = message["content"]
    return [content] if isinstance(content, str) else [block["text"] for block in content if block["type"] == "text"]


@asynccontextmanager
async def run_cli(
    binary: Path,
    upstream: FakeAnthropic,
    directory: Path,
    tools: tuple[str, ...] | None,
    resume_file: Path | None = None,
    auth_method: AuthMethod = AuthMethod.API_KEY,
) -> AsyncIterator[CliDriver]:
    """Run a `claude` process until the `async with` block ends.

    The function initializes a chat process before the block begins. It does not initialize an agent process, and runs
    the agent process without a sandbox.

    Args:
        binary: The `claude` binary.
        upstream: The fake Anthropic API to which the process sends its requests.
        directory: The working directory of the process.
        tools: The built-in tools of an agent process; None to run a chat process.
        resume_file: The file from which a chat process resumes a conversation; None to start without a conversation.
        auth_method: The method with which a chat process authenticates itself to the upstream.
    """
    launch = LaunchSettings(binary, auth_method, MODEL, _credentials_env(auth_method, upstream.url))
    host = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(directory)}
    if tools is not None:
        async with _run_agent(launch, directory, host, tools) as cli:
            yield cli
        return
    argv, protocol = build_chat_command(launch, resume_file), CliProtocol()
    env = build_environment(launch, directory, host, MODEL if resume_file else None)
    # If this variable were not set, the CLI would request a token from Google.
    env |= {"CLAUDE_CODE_SKIP_VERTEX_AUTH": "1"} if auth_method is AuthMethod.VERTEX else {}
    async with _run_process(argv, env, directory) as process:
        cli = CliDriver(process, protocol)
        await cli.send(protocol.initialize())
        yield cli


def _credentials_env(auth_method: AuthMethod, upstream_url: str) -> dict[str, str]:
    match auth_method:
        case AuthMethod.API_KEY:
            return {"ANTHROPIC_API_KEY": FAKE_API_KEY, "ANTHROPIC_BASE_URL": upstream_url}
        case AuthMethod.CLI:
            return {"CLAUDE_CODE_OAUTH_TOKEN": FAKE_API_KEY, "ANTHROPIC_BASE_URL": upstream_url}
        case AuthMethod.BEDROCK:
            region = {"AWS_REGION": "us-east-1", "ANTHROPIC_BEDROCK_BASE_URL": upstream_url}
            return {"AWS_BEARER_TOKEN_BEDROCK": FAKE_API_KEY, **region}
        case AuthMethod.VERTEX:
            project = {"ANTHROPIC_VERTEX_PROJECT_ID": "fake", "CLOUD_ML_REGION": "us-east5"}
            return {"ANTHROPIC_VERTEX_BASE_URL": upstream_url, **project}


@asynccontextmanager
async def _run_agent(
    launch: LaunchSettings,
    directory: Path,
    host_env: dict[str, str],
    tools: tuple[str, ...],
    resume_point: ResumePoint | None = None,
) -> AsyncIterator[CliDriver]:
    arguments = build_agent_arguments(launch, tools, sandboxed=False, resume_point=resume_point)
    # Remove this option, so that the process writes its conversation to a file, as agent processes in a sandbox do.
    argv = (str(launch.cli_path), *(word for word in arguments if word != "--no-session-persistence"))
    env = build_agent_environment(launch, directory, host_env, None, resume_point.model if resume_point else None)
    protocol = CliProtocol(permission_policy=lambda _: DENIAL_MESSAGE)
    async with _run_process(argv, env, directory) as process:
        yield CliDriver(process, protocol, partial(_run_agent, launch, directory, host_env, tools))


@asynccontextmanager
async def _run_process(argv: tuple[str, ...], env: dict[str, str], directory: Path) -> AsyncIterator[Process]:
    process = await Process.spawn(argv, env, directory)
    try:
        yield process
    finally:
        process.kill()
        await process.wait_exited()
