"""Which tools the CLI is told of beside a job's own."""

from dataclasses import replace

from tests.workers.helpers import a_job, user
from workers.job import ChatJob, Tool, ToolUse, Turn
from workers.offer import names_to_offer

TOOL = Tool("f", "", {"type": "object"})
HISTORY = (user("a"), Turn("assistant", (ToolUse("1", "earlier", {}),)), user("b"))


def a_job_with(*tools: Tool) -> ChatJob:
    return replace(a_job(*HISTORY), tools=tools)


def test_tools_that_the_history_calls_are_offered_beside_those_of_the_job() -> None:
    assert names_to_offer(a_job_with(TOOL)) == {"f", "earlier"}


def test_nothing_is_offered_with_a_job_that_has_no_tools() -> None:
    assert names_to_offer(a_job_with()) == set()
