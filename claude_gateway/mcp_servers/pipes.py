"""Servers that are programs, spoken to over their pipes.

They know nothing of this gateway: their environment says where programs are, gives them a home of their own, and holds
what their registration gives them. What they write to stderr is dropped: those secrets may be in it.
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

from claude_gateway.mcp_servers.flood import Gauge, Overrun
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.message_scan import TOO_LARGE, LineScan
from claude_gateway.mcp_servers.network import NotReached
from claude_gateway.mcp_servers.program_box import NOT_STARTED
from claude_gateway.mcp_servers.server import Program
from workers.frames import Frame, FrameDecoder, FrameError
from workers.priority import of_later_work
from workers.process import Process

_MOST_STRAYS = 1_000
_LAST_STATUS_SECONDS = 2.0


class GaugedFrames(FrameDecoder):
    """Raises `Overrun`, too, before anything of a flood, or of a message beyond its bounds, is read."""

    def __init__(self, gauge: Gauge) -> None:
        super().__init__(gauge.bounds.message_bytes, strays=_MOST_STRAYS)
        self._gauge = gauge
        self._scan = LineScan(gauge.bounds, gauge.refuse, gauge.count_values)

    def feed(self, data: bytes) -> list[Frame]:
        self._gauge.take(data)
        self._scan.take(data)
        return super().feed(data)


@asynccontextmanager
async def piped(
    program: Program, housing: Housing, home: Path, gauge: Gauge, ended: Callable[[str], None]
) -> AsyncIterator[tuple[Any, Any]]:
    """A program's two streams for the length of a `with`, as the `mcp` package wants them. `ended` is told when nothing
    more comes from the program, and why, where that is not its own doing. Raises `NotReached`."""
    async with _running(program, housing, home, GaugedFrames(gauge)) as process:
        heard, hearing = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        saying, said = anyio.create_memory_object_stream[SessionMessage](0)
        tasks = [asyncio.create_task(_hear(process, heard, ended)), asyncio.create_task(_say(process, said))]
        try:
            yield hearing, saying
        finally:
            for stream in (heard, hearing, saying, said):
                stream.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _running(program: Program, housing: Housing, home: Path, decoder: FrameDecoder) -> AsyncIterator[Process]:
    """The program, with a record by which the next gateway ends it where this one is killed."""
    record = await housing.records.make()
    try:
        try:
            argv, env = await housing.start(program, home)
            process = await Process.spawn(argv, env, home, decoder, hears_errors=False, priority=of_later_work())
        except (OSError, ValueError):
            raise NotReached("the program could not be started") from None
        try:
            await housing.records.record(record, process.pid)
            yield process
        finally:
            process.kill()
            await process.forget_output()
            await process.ended()
    finally:
        await housing.records.remove(record)


async def _hear(process: Process, heard: Any, ended: Callable[[str], None]) -> None:
    why = ""
    try:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, Overrun):
            while frames := await process.read():
                for frame in frames:
                    await heard.send(_message(frame))
            why = await _last_words(process)
    except FrameError:
        why = TOO_LARGE
    finally:
        ended(why)
        heard.close()


async def _last_words(process: Process) -> str:
    """Of one that ended by itself; "" where there is nothing to say."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_STATUS_SECONDS):
            if await process.ended() in NOT_STARTED:
                return "there is no such program in its box, which shows the system's and MCP_READABLE_PATHS"
    return ""


def _message(frame: dict[str, Any]) -> SessionMessage | Exception:
    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_python(frame, by_name=False))
    except ValidationError as error:
        return error


async def _say(process: Process, said: Any) -> None:
    with suppress(ConnectionError, anyio.ClosedResourceError):
        async for message in said:
            await process.write(message.message.model_dump(by_alias=True, mode="json", exclude_unset=True))
    said.close()
