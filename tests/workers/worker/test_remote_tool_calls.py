"""Tests of the runner of remote tool calls: it obeys the options of the job and always answers the CLI."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.workers.helpers import make_job, wait_until
from workers.core.frame import Frame
from workers.core.job import AgentOptions, RemoteToolResult, Text, ToolDefinition
from workers.worker.prepared_job import PreparedAgentJob, prepare_agent_job
from workers.worker.remote_tool_calls import RemoteToolCallRunner

REMOTE_TOOL = ToolDefinition("mcp__s__look", "", {"type": "object"})


class RecordingConnection:
    """A connection that records the frames sent to the process."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def write(self, *frames: Frame, deadline: float | None) -> None:
        self.frames += frames

    def results(self) -> list[Any]:
        return [frame["response"]["response"]["mcp_response"]["result"] for frame in self.frames]


def make_call(name: str = "mcp__s__look", **arguments: Any) -> Frame:
    params = {"name": name, "arguments": arguments}
    return {"request_id": "r", "request": {"message": {"id": 1, "method": "tools/call", "params": params}}}


def prepare(options: AgentOptions | None) -> PreparedAgentJob | None:
    return prepare_agent_job(replace(make_job(), agent_options=options)) if options else None


async def run_call(options: AgentOptions | None, call: Frame) -> Any:
    connection = RecordingConnection()
    calls = RemoteToolCallRunner(connection)  # type: ignore[arg-type]
    calls.start(call, prepare(options))
    await wait_until(lambda: bool(connection.frames))
    (result,) = connection.results()
    return result


async def echo(name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
    return RemoteToolResult((Text(f"{name} {dict(arguments)}"),))


async def test_calls_the_remote_tool_with_the_given_arguments() -> None:
    options = AgentOptions((), remote_tools=(REMOTE_TOOL,), call_remote_tool=echo)

    result = await run_call(options, make_call(at=3))

    assert result == {"content": [{"type": "text", "text": "mcp__s__look {'at': 3}"}], "isError": False}


async def test_rejects_calls_of_unknown_tools_and_calls_in_plan_mode() -> None:
    for options, name in (
        (AgentOptions((), remote_tools=(REMOTE_TOOL,), call_remote_tool=echo), "mcp__s__other"),
        (AgentOptions((), remote_tools=(REMOTE_TOOL,), call_remote_tool=echo, plan_mode=True), REMOTE_TOOL.name),
        (AgentOptions(("Bash",), call_remote_tool=echo), "Bash"),
        (None, REMOTE_TOOL.name),
    ):
        result = await run_call(options, make_call(name))
        assert result["isError"], options
        assert "{" not in result["content"][0]["text"]


async def test_exception_in_a_remote_tool_is_an_error_result() -> None:
    async def fail(name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        raise ZeroDivisionError

    result = await run_call(AgentOptions((), remote_tools=(REMOTE_TOOL,), call_remote_tool=fail), make_call())

    assert result == {"content": [{"type": "text", "text": "The tool failed."}], "isError": True}


async def test_calls_run_concurrently_and_are_cancelled_with_their_process() -> None:
    started_count = 0
    ended_count = 0

    async def hang(name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        nonlocal started_count, ended_count
        started_count += 1
        try:
            await asyncio.Event().wait()
        finally:
            ended_count += 1
        raise AssertionError

    calls = RemoteToolCallRunner(RecordingConnection())  # type: ignore[arg-type]
    for _ in range(3):
        calls.start(make_call(), prepare(AgentOptions((), remote_tools=(REMOTE_TOOL,), call_remote_tool=hang)))
    await wait_until(lambda: started_count == 3)

    calls.cancel_all()

    await wait_until(lambda: ended_count == 3)
