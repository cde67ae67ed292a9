"""Tests of the tool names that are registered with the CLI."""

from dataclasses import replace

from tests.workers.helpers import make_job, user_turn
from workers.core.job import ChatJob, ToolDefinition, ToolUse, Turn
from workers.worker.tool_registration import collect_tool_names

TOOL = ToolDefinition("f", "", {"type": "object"})
HISTORY = (user_turn("a"), Turn("assistant", (ToolUse("1", "earlier", {}),)), user_turn("b"))


def make_job_with_tools(*tools: ToolDefinition) -> ChatJob:
    return replace(make_job(*HISTORY), tools=tools)


def test_collects_the_tools_of_the_job_and_those_that_its_history_calls() -> None:
    assert collect_tool_names(make_job_with_tools(TOOL)) == {"f", "earlier"}


def test_collects_no_names_for_a_job_without_tools() -> None:
    assert collect_tool_names(make_job_with_tools()) == set()
