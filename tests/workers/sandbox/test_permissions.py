from dataclasses import replace
from typing import Any

import pytest

from workers.core.job import AgentOptions, ToolDefinition
from workers.sandbox.permissions import find_denial_reason

ALL = AgentOptions(("Agent", "Bash", "Edit", "NotebookEdit", "Read", "WebFetch", "Write"))


def permission_request(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"subtype": "can_use_tool", "tool_name": tool, "input": arguments, "tool_use_id": "t"}


@pytest.mark.parametrize(
    "request_",
    [
        permission_request("Bash", command="ls"),
        permission_request("Write", file_path="/desk/a"),
        permission_request("Read", file_path="a"),
        permission_request("Agent"),
    ],
)
def test_allows_the_tools_of_the_job(request_: dict[str, Any]) -> None:
    assert find_denial_reason(request_, ALL) is None


@pytest.mark.parametrize(
    "request_",
    [
        permission_request("SandboxNetworkAccess", host="example.com"),
        permission_request("mcp__x__y"),
        permission_request("Grep"),
        permission_request("Bash", command="ls", dangerouslyDisableSandbox=True),
        permission_request("Write", file_path="/desk/.git/hooks/pre-commit"),
        permission_request("Edit", file_path="/desk/.claude/settings.json"),
        permission_request("NotebookEdit", notebook_path="/desk/.vscode/a.ipynb"),
        {"subtype": "can_use_tool"},
        {},
    ],
)
def test_denies_other_tools_and_protected_files(request_: dict[str, Any]) -> None:
    assert find_denial_reason(request_, ALL)


@pytest.mark.parametrize("tool", ["Bash", "Write", "Edit", "NotebookEdit"])
def test_plan_mode_denies_tools_that_change_something(tool: str) -> None:
    assert find_denial_reason(
        permission_request(tool, file_path="/desk/a"), AgentOptions(ALL.builtin_tools, plan_mode=True)
    )


def test_allows_a_remote_tool_by_its_whole_name_except_in_plan_mode() -> None:
    agent_options = AgentOptions((), remote_tools=(ToolDefinition("mcp__x__y", "", {}),))

    assert find_denial_reason(permission_request("mcp__x__y"), agent_options) is None
    assert find_denial_reason(permission_request("mcp__x"), agent_options)
    assert find_denial_reason(permission_request("mcp__x__y"), replace(agent_options, plan_mode=True))


def test_denies_a_tool_without_a_rule_even_if_the_job_lists_it() -> None:
    assert find_denial_reason(permission_request("Novelty"), AgentOptions(("Novelty",)))
