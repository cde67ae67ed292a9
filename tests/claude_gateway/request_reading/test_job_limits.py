"""Rejection of jobs with too many parts, in any position."""

from typing import Any

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.request_reading.job_limits import check_job_limits
from workers.core.job import Block, ChatJob, Document, Text, ToolDefinition, ToolResult, ToolUse, Turn

MANY_VALUES: list[Any] = [[] for _ in range(60_000)]


def create_job(*blocks: Block, tools: tuple[ToolDefinition, ...] = ()) -> ChatJob:
    return ChatJob("a", "m", (Turn("user", blocks),), tools=tools)


@pytest.mark.parametrize(
    "job",
    [
        create_job(*[Text("x")] * 20_001),
        create_job(*[ToolResult("c", tuple([Text("x")] * 10_001))] * 2),
        create_job(*[ToolUse("c", "f", {"a": MANY_VALUES})] * 2),
        create_job(tools=(ToolDefinition("t", "", {"a": MANY_VALUES}),) * 2),
        create_job(Document({"source": {"content": MANY_VALUES}}), ToolUse("c", "f", {"a": MANY_VALUES})),
    ],
    ids=["texts", "parts of results", "arguments", "schemas", "documents and arguments"],
)
def test_rejects_job_with_too_many_parts_with_413_and_names_the_limit(job: ChatJob) -> None:
    with pytest.raises(ApiError, match=r"20000|100000") as raised:
        check_job_limits(job)
    assert raised.value.status == 413


def test_long_text_counts_as_one_part() -> None:
    check_job_limits(create_job(Text("x" * 10_000_000), ToolUse("c", "f", {"a": MANY_VALUES})))
