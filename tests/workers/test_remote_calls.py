"""Tools that are carried out elsewhere: called as the job allows, answered whatever comes of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.workers.helpers import until
from workers.frames import Frame
from workers.job import RemoteResult, Text, Tool, ToolWork
from workers.remote_calls import RemoteCalls

LOOK = Tool("mcp__s__look", "", {"type": "object"})


class Written:
    """What goes to the process."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def write(self, *frames: Frame, deadline: float | None) -> None:
        self.frames += frames

    def results(self) -> list[Any]:
        return [frame["response"]["response"]["mcp_response"]["result"] for frame in self.frames]


def a_call(name: str = "mcp__s__look", **arguments: Any) -> Frame:
    params = {"name": name, "arguments": arguments}
    return {"request_id": "r", "request": {"message": {"id": 1, "method": "tools/call", "params": params}}}


async def answered(work: ToolWork | None, call: Frame) -> Any:
    link = Written()
    calls = RemoteCalls(link)  # type: ignore[arg-type]
    calls.begin(call, work)
    await until(lambda: bool(link.frames))
    (result,) = link.results()
    return result


async def echo(name: str, arguments: Mapping[str, Any]) -> RemoteResult:
    return RemoteResult((Text(f"{name} {dict(arguments)}"),))


async def test_a_call_is_carried_out_with_what_it_was_called_with() -> None:
    work = ToolWork((), remote=(LOOK,), call=echo)

    result = await answered(work, a_call(at=3))

    assert result == {"content": [{"type": "text", "text": "mcp__s__look {'at': 3}"}], "isError": False}


async def test_what_the_job_has_not_or_only_plans_is_not_carried_out() -> None:
    for work, name in (
        (ToolWork((), remote=(LOOK,), call=echo), "mcp__s__other"),
        (ToolWork((), remote=(LOOK,), call=echo, plan=True), LOOK.name),
        (ToolWork(("Bash",), call=echo), "Bash"),
        (None, LOOK.name),
    ):
        result = await answered(work, a_call(name))
        assert result["isError"], work
        assert "{" not in result["content"][0]["text"]


async def test_a_fault_on_the_way_is_an_answer_too() -> None:
    async def fail(name: str, arguments: Mapping[str, Any]) -> RemoteResult:
        raise ZeroDivisionError

    result = await answered(ToolWork((), remote=(LOOK,), call=fail), a_call())

    assert result == {"content": [{"type": "text", "text": "The tool failed."}], "isError": True}


async def test_calls_run_side_by_side_and_are_dropped_with_their_process() -> None:
    begun = 0
    ended = 0

    async def hang(name: str, arguments: Mapping[str, Any]) -> RemoteResult:
        nonlocal begun, ended
        begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            ended += 1
        raise AssertionError

    calls = RemoteCalls(Written())  # type: ignore[arg-type]
    for _ in range(3):
        calls.begin(a_call(), ToolWork((), remote=(LOOK,), call=hang))
    await until(lambda: begun == 3)

    calls.drop()

    await until(lambda: ended == 3)
