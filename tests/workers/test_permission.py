from dataclasses import replace
from typing import Any

import pytest

from workers.job import Tool, ToolWork
from workers.permission import refusal

ALL = ToolWork(("Agent", "Bash", "Edit", "NotebookEdit", "Read", "WebFetch", "Write"))


def asked(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"subtype": "can_use_tool", "tool_name": tool, "input": arguments, "tool_use_id": "t"}


@pytest.mark.parametrize(
    "request_",
    [asked("Bash", command="ls"), asked("Write", file_path="/desk/a"), asked("Read", file_path="a"), asked("Agent")],
)
def test_what_the_job_has_is_granted(request_: dict[str, Any]) -> None:
    assert refusal(request_, ALL) is None


@pytest.mark.parametrize(
    "request_",
    [
        asked("SandboxNetworkAccess", host="example.com"),
        asked("mcp__x__y"),
        asked("Grep"),
        asked("Bash", command="ls", dangerouslyDisableSandbox=True),
        asked("Write", file_path="/desk/.git/hooks/pre-commit"),
        asked("Edit", file_path="/desk/.claude/settings.json"),
        asked("NotebookEdit", notebook_path="/desk/.vscode/a.ipynb"),
        {"subtype": "can_use_tool"},
        {},
    ],
)
def test_everything_else_is_refused(request_: dict[str, Any]) -> None:
    assert refusal(request_, ALL)


@pytest.mark.parametrize("tool", ["Bash", "Write", "Edit", "NotebookEdit"])
def test_a_plan_carries_nothing_out(tool: str) -> None:
    assert refusal(asked(tool, file_path="/desk/a"), ToolWork(ALL.tools, plan=True))


def test_a_tool_that_is_carried_out_elsewhere_is_granted_by_its_whole_name_and_not_in_a_plan() -> None:
    work = ToolWork((), remote=(Tool("mcp__x__y", "", {}),))

    assert refusal(asked("mcp__x__y"), work) is None
    assert refusal(asked("mcp__x"), work)
    assert refusal(asked("mcp__x__y"), replace(work, plan=True))


def test_a_tool_without_a_rule_is_refused_even_where_a_job_names_it() -> None:
    assert refusal(asked("Novelty"), ToolWork(("Novelty",)))
