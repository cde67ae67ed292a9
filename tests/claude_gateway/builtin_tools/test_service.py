"""Tools of a key's MCP servers that are attached to a job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from claude_gateway.auth.models import ApiKey
from claude_gateway.builtin_tools.catalog import NO_CHOICES, ToolChoices, parse_tool_headers
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.builtin_tools.service import BuiltinToolService, ToolRequest
from claude_gateway.core.errors import ApiError
from tests.claude_gateway.scripted import JOB, ScriptedEngine
from workers.core.job import ChatJob, RemoteToolResult, Text, ToolDefinition

KEY = ApiKey("ann")
LOOK, FIND = (ToolDefinition(f"mcp__lib__{name}", "", {"type": "object"}) for name in ("look", "find"))
TOOL_REQUEST = ToolRequest(enable_tools=True, stream_progress=False, session_id=None)


class McpTools:
    """The MCP tools of the key "ann"."""

    def list_tools(self, key_id: str) -> tuple[ToolDefinition, ...]:
        return (LOOK, FIND) if key_id == "ann" else ()

    async def call_tool(self, key_id: str, tool_name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        return RemoteToolResult((Text(f"{key_id} {tool_name}"),))


@dataclass
class ChoiceStore:
    choices: ToolChoices = NO_CHOICES

    async def read(self, key_id: str, session_id: str) -> ToolChoices:
        return self.choices


async def attach_tools(
    key: ApiKey = KEY, choices: ToolChoices = NO_CHOICES, **headers: str
) -> tuple[ChatJob, list[str]]:
    service = BuiltinToolService(ScriptedEngine(), ChoiceStore(choices), ToolCounters(), McpTools())  # type: ignore[arg-type]
    header_values = {f"X-Claude-{name.replace('_', '-').title()}": value for name, value in headers.items()}
    return await service.attach_tools(JOB, key, parse_tool_headers(header_values), TOOL_REQUEST)


async def get_tool_names(key: ApiKey = KEY, choices: ToolChoices = NO_CHOICES, **headers: str) -> tuple[str, ...]:
    job, _ = await attach_tools(key, choices, **headers)
    return tuple(tool.name for tool in job.agent_options.remote_tools) if job.agent_options else ()


async def test_attaches_mcp_tools_of_the_key_and_calls_them_for_that_key() -> None:
    job, notes = await attach_tools()

    assert job.agent_options is not None
    assert (job.agent_options.remote_tools, notes) == ((LOOK, FIND), [])
    assert job.agent_options.call_remote_tool is not None
    assert (await job.agent_options.call_remote_tool("mcp__lib__look", {})).content == (Text("ann mcp__lib__look"),)


async def test_attaches_no_mcp_tools_to_another_key_or_without_the_scope() -> None:
    assert await get_tool_names(ApiKey("ben")) == ()
    assert await get_tool_names(ApiKey("ann", frozenset({"chat", "tools"}))) == ()


async def test_allowed_list_limits_mcp_tools_from_every_source() -> None:
    assert await get_tool_names(allowed_tools="Read") == ()
    assert await get_tool_names(choices=ToolChoices(allowed=("Read",))) == ()
    assert await get_tool_names(choices=ToolChoices(allowed=("Read",)), allowed_tools="mcp__lib__*") == (
        LOOK.name,
        FIND.name,
    )
    assert await get_tool_names(disallowed_tools="mcp__lib__look") == (FIND.name,)


async def test_job_may_use_mcp_tools_alone() -> None:
    job, _ = await attach_tools(allowed_tools="mcp__lib__find")

    assert job.agent_options is not None
    assert (job.agent_options.builtin_tools, job.agent_options.remote_tools) == ((), (FIND,))


async def test_notes_unknown_mcp_tool_and_rejects_invalid_name_with_400() -> None:
    job, notes = await attach_tools(allowed_tools="Read,mcp__gone__x")
    assert notes == ["mcp__gone__x: omitted (no connected MCP server has it)"]
    assert job.agent_options is not None

    with pytest.raises(ApiError, match="there is no tool 'mcp__a b'"):
        await attach_tools(allowed_tools="mcp__a b")


async def test_key_limited_to_some_models_gets_no_sub_agents() -> None:
    limited_job, notes = await attach_tools(ApiKey("bob", models=("claude-haiku-*",)), allowed_tools="Read, Task")
    unlimited_job, unlimited_job_notes = await attach_tools(ApiKey("bob"), allowed_tools="Read, Task")

    assert limited_job.agent_options is not None
    assert unlimited_job.agent_options is not None
    assert (limited_job.agent_options.builtin_tools, unlimited_job.agent_options.builtin_tools) == (
        ("Read",),
        ("Agent", "Read"),
    )
    assert notes == ["Task: omitted (a sub-agent could use a model that this key may not use)"]
    assert unlimited_job_notes == []
