"""Which tools of a key's MCP servers a job gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from claude_gateway.access.keys import Key
from claude_gateway.errors import ApiError
from claude_gateway.own_tools.built_in import NOTHING, ToolChoices, read_headers
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.own_tools.toolbox import Asks, Toolbox
from tests.claude_gateway.scripted import JOB, ScriptedEngine
from workers.job import ChatJob, RemoteResult, Text, Tool

ANN = Key("ann")
LOOK, FIND = (Tool(f"mcp__lib__{name}", "", {"type": "object"}) for name in ("look", "find"))
ASKS = Asks(tools=True, progress=False, session=None)


class Servers:
    """Ann's."""

    def tools(self, owner: str) -> tuple[Tool, ...]:
        return (LOOK, FIND) if owner == "ann" else ()

    async def call(self, owner: str, name: str, arguments: Mapping[str, Any]) -> RemoteResult:
        return RemoteResult((Text(f"{owner} {name}"),))


@dataclass
class Kept:
    choices: ToolChoices = NOTHING

    async def read(self, owner: str, session: str) -> ToolChoices:
        return self.choices


async def equipped(key: Key = ANN, kept: ToolChoices = NOTHING, **headers: str) -> tuple[ChatJob, list[str]]:
    toolbox = Toolbox(ScriptedEngine(), Kept(kept), ToolCounts(), Servers())  # type: ignore[arg-type]
    sent = {f"X-Claude-{name.replace('_', '-').title()}": value for name, value in headers.items()}
    return await toolbox.equip(JOB, key, read_headers(sent), ASKS)


async def names(key: Key = ANN, kept: ToolChoices = NOTHING, **headers: str) -> tuple[str, ...]:
    job, _ = await equipped(key, kept, **headers)
    return tuple(tool.name for tool in job.work.remote) if job.work else ()


async def test_a_job_gets_its_keys_tools_and_calls_for_that_key() -> None:
    job, notes = await equipped()

    assert job.work is not None
    assert (job.work.remote, notes) == ((LOOK, FIND), [])
    assert job.work.call is not None
    assert (await job.work.call("mcp__lib__look", {})).content == (Text("ann mcp__lib__look"),)


async def test_another_key_and_one_without_the_scope_get_none() -> None:
    assert await names(Key("ben")) == ()
    assert await names(Key("ann", frozenset({"chat", "tools"}))) == ()


async def test_a_list_of_what_is_allowed_is_the_whole_of_it_wherever_it_stands() -> None:
    assert await names(allowed_tools="Read") == ()
    assert await names(kept=ToolChoices(allowed=("Read",))) == ()
    assert await names(kept=ToolChoices(allowed=("Read",)), allowed_tools="mcp__lib__*") == (LOOK.name, FIND.name)
    assert await names(disallowed_tools="mcp__lib__look") == (FIND.name,)


async def test_a_job_may_have_these_tools_alone() -> None:
    job, _ = await equipped(allowed_tools="mcp__lib__find")

    assert job.work is not None
    assert (job.work.tools, job.work.remote) == ((), (FIND,))


async def test_a_tool_that_is_not_there_is_named_and_what_can_be_none_is_a_400() -> None:
    job, notes = await equipped(allowed_tools="Read,mcp__gone__x")
    assert notes == ["mcp__gone__x: left out, no connected MCP server has it"]
    assert job.work is not None

    with pytest.raises(ApiError, match="there is no tool 'mcp__a b'"):
        await equipped(allowed_tools="mcp__a b")


async def test_a_key_held_to_some_models_has_no_sub_agents_for_those_may_take_any() -> None:
    held, notes = await equipped(Key("bob", models=("claude-haiku-*",)), allowed_tools="Read, Task")
    free, none = await equipped(Key("bob"), allowed_tools="Read, Task")

    assert held.work is not None
    assert free.work is not None
    assert (held.work.tools, free.work.tools) == (("Read",), ("Agent", "Read"))
    assert notes == ["Task: left out, a sub-agent may take a model that this key may not use"]
    assert none == []
