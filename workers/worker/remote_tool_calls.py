"""Calls of remote tools, which run outside of the CLI process. Each call is a task that sends its result to the CLI."""

import logging
from contextlib import suppress

from workers.cli.connection import CliConnection
from workers.cli.mcp_bridge import build_call_response
from workers.core.background_tasks import BackgroundTasks
from workers.core.errors import WorkerError
from workers.core.frame import Frame
from workers.core.job import RemoteToolResult, Text
from workers.params.name_aliases import restore_call
from workers.sandbox.permissions import find_denial_reason
from workers.worker.prepared_job import PreparedAgentJob

_log = logging.getLogger(__name__)


class RemoteToolCallRunner:
    """Runs the remote tool calls of one process.

    Call `start` for each call, and `cancel_all` at the end of the process.
    """

    def __init__(self, connection: CliConnection) -> None:
        self._connection = connection
        self._tasks = BackgroundTasks()

    def start(self, request: Frame, prepared: PreparedAgentJob | None) -> None:
        """Start a tool call that the CLI has requested.

        Args:
            request: The frame with which the CLI requests the call.
            prepared: The job that the process runs.
        """
        self._tasks.start(self._run(request, prepared))

    def cancel_all(self) -> None:
        """Cancel all running calls."""
        self._tasks.cancel()

    async def _run(self, request: Frame, prepared: PreparedAgentJob | None) -> None:
        result = await _call_tool(request["request"]["message"].get("params") or {}, prepared)
        with suppress(WorkerError):  # if the process has exited, the reader of its output reports that
            await self._connection.write(build_call_response(request, result), deadline=None)


async def _call_tool(call_params: Frame, prepared: PreparedAgentJob | None) -> RemoteToolResult:
    name, arguments = str(call_params.get("name")), call_params.get("arguments") or {}
    if prepared is not None:
        name, arguments = restore_call(prepared.remote_aliases, name, arguments)
    if (
        prepared is None
        or prepared.options.call_remote_tool is None
        or name not in {tool.name for tool in prepared.options.remote_tools}
    ):
        return _build_error_result(f"{name} is not among the tools of this job.")
    # The CLI asks for permission before a call. This check is for the case that it did not.
    if denial_reason := find_denial_reason({"tool_name": name, "input": arguments}, prepared.options):
        return _build_error_result(denial_reason)
    try:
        return await prepared.options.call_remote_tool(name, arguments)
    except Exception:
        _log.exception("a call of the tool %s failed", name)
        return _build_error_result("The tool failed.")


def _build_error_result(reason: str) -> RemoteToolResult:
    return RemoteToolResult((Text(reason),), is_error=True)
