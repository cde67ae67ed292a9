"""A job of too many parts is refused, wherever they stand in it."""

from typing import Any

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.reading.weight import check_weight
from workers.job import Block, ChatJob, Document, Text, Tool, ToolResult, ToolUse, Turn

MANY: list[Any] = [[] for _ in range(60_000)]


def job(*blocks: Block, tools: tuple[Tool, ...] = ()) -> ChatJob:
    return ChatJob("a", "m", (Turn("user", blocks),), tools=tools)


@pytest.mark.parametrize(
    "heavy",
    [
        job(*[Text("x")] * 20_001),
        job(*[ToolResult("c", tuple([Text("x")] * 10_001))] * 2),
        job(*[ToolUse("c", "f", {"a": MANY})] * 2),
        job(tools=(Tool("t", "", {"a": MANY}),) * 2),
        job(Document({"source": {"content": MANY}}), ToolUse("c", "f", {"a": MANY})),
    ],
    ids=["texts", "parts of results", "arguments", "schemas", "documents and arguments"],
)
def test_a_job_of_too_many_parts_is_a_413_that_names_the_limit(heavy: ChatJob) -> None:
    with pytest.raises(ApiError, match=r"20000|100000") as found:
        check_weight(heavy)
    assert found.value.status == 413


def test_a_long_text_weighs_nothing() -> None:
    check_weight(job(Text("x" * 10_000_000), ToolUse("c", "f", {"a": MANY})))
