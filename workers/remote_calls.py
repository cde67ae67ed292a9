"""Calls of tools that are carried out elsewhere: each in a task of its own, answered to the CLI when it is done."""

import asyncio
import logging
from contextlib import suppress

from workers.aliases import as_called
from workers.errors import WorkerError
from workers.frames import Frame
from workers.job import RemoteResult, Text, ToolWork
from workers.link import Link
from workers.permission import refusal
from workers.tool_bridge import call_answer

_log = logging.getLogger(__name__)


class RemoteCalls:
    """`begin` for each call of a process, `drop` when the process is to end."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, call: Frame, work: ToolWork | None) -> None:
        task = asyncio.create_task(self._carry_out(call, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _carry_out(self, call: Frame, work: ToolWork | None) -> None:
        result = await _result(call["request"]["message"].get("params") or {}, work)
        with suppress(WorkerError):  # whoever reads from the process notices its end too
            await self._link.write(call_answer(call, result), deadline=None)


async def _result(params: Frame, work: ToolWork | None) -> RemoteResult:
    name, arguments = str(params.get("name")), params.get("arguments") or {}
    if work is not None:
        name, arguments = as_called(work.remote, name, arguments)
    if work is None or work.call is None or name not in {tool.name for tool in work.remote}:
        return _failed(f"{name} is not among the tools of this job.")
    # The CLI asks before it calls; this holds where it did not.
    if refused := refusal({"tool_name": name, "input": arguments}, work):
        return _failed(refused)
    try:
        return await work.call(name, arguments)
    except Exception:
        _log.exception("a call of %s failed", name)
        return _failed("The tool failed.")


def _failed(why: str) -> RemoteResult:
    return RemoteResult((Text(why),), is_error=True)
