"""Hosted tools of other providers mapped to built-in tools of Claude Code."""

import pytest

from claude_gateway.auth.models import ApiKey
from claude_gateway.builtin_tools.catalog import DEFAULT_TOOLS, NO_CHOICES, ToolChoices
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.builtin_tools.hosted_tool_mapping import map_hosted_tools
from claude_gateway.builtin_tools.service import BuiltinToolService, ToolRequest
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, find_hosted_tool_kind
from tests.claude_gateway.mcp_servers.scripted import create_empty_manager
from tests.claude_gateway.scripted import JOB, ScriptedEngine

SEARCH = HostedTool("tools.0", "web_search", "search")
FETCH = HostedTool("tools.1", "urlContext", "fetch")
CODE = HostedTool("tools.2", "code_interpreter", "code")


class EmptyChoiceStore:
    """A store without any configured tool choices."""

    async def read(self, key_id: str, session_id: str) -> ToolChoices:
        return NO_CHOICES


def tool_service() -> BuiltinToolService:
    return BuiltinToolService(ScriptedEngine(), EmptyChoiceStore(), ToolCounters(), create_empty_manager())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("web_search", "search"),
        ("web_search_preview_2025_03_11", "search"),
        ("web_search_20260209", "search"),
        ("web_fetch_20250910", "fetch"),
        ("code_interpreter", "code"),
        ("code_execution_20250825", "code"),
        ("file_search", None),
        ("web_searching", None),
        (None, None),
        (["web_search"], None),
    ],
)
def test_maps_hosted_tool_by_its_type(type_: object, kind: str | None) -> None:
    assert find_hosted_tool_kind(type_) == kind


def test_maps_code_to_all_default_tools_and_search_to_web_search_alone() -> None:
    assert set(map_hosted_tools([CODE], [], no_commands_reason="")[0]) == set(DEFAULT_TOOLS)
    assert map_hosted_tools([SEARCH], [], no_commands_reason="")[0] == ("WebSearch",)


def test_note_gives_the_reason_why_fetch_or_unsandboxed_code_is_not_mapped() -> None:
    names, notes = map_hosted_tools([FETCH, CODE], [], no_commands_reason="there is no sandbox")
    assert names == ()
    assert "private addresses" in notes[0]
    assert "there is no sandbox" in notes[1]


def test_header_or_settings_limit_the_mapped_tools() -> None:
    assert map_hosted_tools([SEARCH], [ToolChoices(disallowed=("WebSearch",))], no_commands_reason="")[0] == ()
    assert map_hosted_tools([SEARCH], [ToolChoices(allowed=("Read",))], no_commands_reason="")[0] == ()
    assert map_hosted_tools([CODE], [ToolChoices(allowed=("Bash", "Read"))], no_commands_reason="")[0] == (
        "Bash",
        "Read",
    )


async def test_key_without_the_scope_gets_a_note_and_no_error() -> None:
    job, notes = await tool_service().attach_tools(
        JOB, ApiKey("k", frozenset({"chat"})), NO_CHOICES, ToolRequest(False, False, None, (SEARCH,))
    )
    assert job == JOB
    assert notes == ["tools.0: omitted a tool of type 'web_search' (this key lacks the scope 'tools')"]


async def test_adds_hosted_tools_to_those_of_enable_tools() -> None:
    job, _ = await tool_service().attach_tools(JOB, ApiKey("k"), NO_CHOICES, ToolRequest(True, False, None, (SEARCH,)))
    assert job.agent_options is not None
    assert set(job.agent_options.builtin_tools) == {*DEFAULT_TOOLS, "WebSearch"}
    search_only_job, _ = await tool_service().attach_tools(
        JOB, ApiKey("k"), NO_CHOICES, ToolRequest(False, False, None, (SEARCH,))
    )
    assert search_only_job.agent_options is not None
    assert search_only_job.agent_options.builtin_tools == ("WebSearch",)
