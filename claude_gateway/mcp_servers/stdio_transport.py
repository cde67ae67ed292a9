"""Stdio transport for MCP servers. It runs a server as a process and exchanges messages over the pipes of the process.

The environment of the process contains only PATH, a home directory and the variables that the client registered, and
no variables of the gateway. The gateway discards the process's stderr, because stderr may contain secrets that the
client registered.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import mcp_types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from claude_gateway.mcp_servers.http_transport import TransportFailed
from claude_gateway.mcp_servers.inbound_limit import InboundLimiter, InboundLimitExceeded
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.message_scan import MESSAGE_TOO_LARGE, LineScanner
from claude_gateway.mcp_servers.models import StdioConfig
from claude_gateway.mcp_servers.sandbox import START_FAILURE_STATUSES
from workers.cli.frames import FrameDecoder, FrameError
from workers.cli.process import Process
from workers.core.frame import Frame
from workers.host.priority import get_background_priority

_MAX_INVALID_LINES = 1_000
_EXIT_STATUS_TIMEOUT_SECONDS = 2.0


class LimitedFrameDecoder(FrameDecoder):
    """Decodes the messages in a server's output. Before it parses any data, it checks the limits on size and number."""

    def __init__(self, limiter: InboundLimiter) -> None:
        super().__init__(limiter.limits.max_message_bytes, max_invalid_lines=_MAX_INVALID_LINES)
        self._limiter = limiter
        self._scanner = LineScanner(limiter.limits, limiter.raise_exceeded, limiter.count_values)

    def feed(self, data: bytes) -> list[Frame]:
        """Decode the next chunk of output. Raises `InboundLimitExceeded` or `FrameError`."""
        self._limiter.count_data(data)
        self._scanner.feed(data)
        return super().feed(data)


@asynccontextmanager
async def open_stdio_transport(
    config: StdioConfig,
    launcher: ServerLauncher,
    server_dir: Path,
    limiter: InboundLimiter,
    on_end: Callable[[str], None],
) -> AsyncIterator[tuple[Any, Any]]:
    """Run a server process for the duration of the context, and yield the streams that exchange messages with it.

    Args:
        config: Command and environment of the server.
        launcher: Builds the command and manages the PID file.
        server_dir: Directory of the server.
        limiter: Limits the data that the server may send.
        on_end: Function that the transport calls when the output of the process has ended. The argument is the reason,
            or "" if the process itself closed its output.

    Yields:
        The inbound and the outbound stream, in the form that the `mcp` package expects.

    Raises:
        TransportFailed: The gateway could not start the process.
    """
    async with _run_process(config, launcher, server_dir, LimitedFrameDecoder(limiter)) as process:
        inbound_send, inbound_receive = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outbound_send, outbound_receive = anyio.create_memory_object_stream[SessionMessage](0)
        tasks = [
            asyncio.create_task(_read_messages(process, inbound_send, on_end)),
            asyncio.create_task(_write_messages(process, outbound_receive)),
        ]
        try:
            yield inbound_receive, outbound_send
        finally:
            for stream in (inbound_send, inbound_receive, outbound_send, outbound_receive):
                stream.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _run_process(
    config: StdioConfig, launcher: ServerLauncher, server_dir: Path, decoder: FrameDecoder
) -> AsyncIterator[Process]:
    """Run the server process for the duration of the context, with a PID file.

    If this gateway process is killed, the next gateway process uses the file to end the server process.
    """
    process_dir = await launcher.process_dirs.create()
    try:
        try:
            argv, env = await launcher.build_command(config, server_dir)
            process = await Process.spawn(
                argv, env, server_dir, decoder, capture_stderr=False, priority=get_background_priority()
            )
        except (OSError, ValueError):
            raise TransportFailed("the program could not be started") from None
        try:
            await launcher.process_dirs.write_pid_file(process_dir, process.pid)
            yield process
        finally:
            process.kill()
            await process.drain_stdout()
            await process.wait_exited()
    finally:
        await launcher.process_dirs.remove(process_dir)


async def _read_messages(process: Process, inbound: Any, on_end: Callable[[str], None]) -> None:
    end_reason = ""
    try:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, InboundLimitExceeded):
            while frames := await process.read():
                for frame in frames:
                    await inbound.send(_parse_message(frame))
            end_reason = await _exit_reason(process)
    except FrameError:
        end_reason = MESSAGE_TOO_LARGE
    finally:
        on_end(end_reason)
        inbound.close()


async def _exit_reason(process: Process) -> str:
    """Return the reason why a process ended; "" if the reason is unknown."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_EXIT_STATUS_TIMEOUT_SECONDS):
            if await process.wait_exited() in START_FAILURE_STATUSES:
                return "the program does not exist in the sandbox, which has the system's and MCP_READABLE_PATHS"
    return ""


def _parse_message(frame: dict[str, Any]) -> SessionMessage | Exception:
    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_python(frame, by_name=False))
    except ValidationError as error:
        return error


async def _write_messages(process: Process, outbound: Any) -> None:
    with suppress(ConnectionError, anyio.ClosedResourceError):
        async for message in outbound:
            await process.write(message.message.model_dump(by_alias=True, mode="json", exclude_unset=True))
    outbound.close()
