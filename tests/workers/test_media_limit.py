"""Conversations with more images and documents than the model is sent."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.workers.helpers import a_job, assistant
from workers.job import Block, ChatJob, Document, Image, Text, ToolResult, ToolUse, Turn
from workers.media_limit import count_oldest_media, max_media, without_oldest_media

PAPER = Document({"source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "a paper"})
NAMELESS = Document({"source": {"type": "text", "media_type": "text/plain", "data": "b"}})
NO_IMAGE = Text("[An image stood here. It is not shown any more: this conversation holds too many of them.]")
NO_PAPER = Text(
    "[The document 'a paper' stood here. It is not shown any more: this conversation holds too many of them.]"
)
NO_DOCUMENT = Text("[A document stood here. It is not shown any more: this conversation holds too many of them.]")


def image(number: int) -> Image:
    return Image({"type": "base64", "media_type": "image/png", "data": f"{number}"})


def agent(screenshots: int) -> ChatJob:
    """A job in which each turn brings the screenshot that a tool took."""
    turns = [Turn("user", (Text("go"),))]
    for number in range(screenshots):
        turns.append(Turn("assistant", (ToolUse(f"c{number}", "look", {}),)))
        turns.append(Turn("user", (ToolResult(f"c{number}", (Text("seen"), image(number))),)))
    return a_job(*turns)


def shown(job: ChatJob) -> list[str]:
    parts = [part for turn in job.turns for block in turn.blocks for part in getattr(block, "content", (block,))]
    return [part.source["data"] for part in parts if isinstance(part, Image)]


def first_bytes_last(jobs: list[ChatJob]) -> int:
    """How often a job does not begin with the whole of the one before."""
    trimmed = [without_oldest_media(job).turns for job in jobs]
    return sum(after[: len(before)] != before for before, after in pairwise(trimmed))


@pytest.mark.parametrize("count", [0, 1, 100])
def test_leaves_a_job_as_it_is_that_holds_no_more_than_the_model_is_sent(count: int) -> None:
    job = agent(count)

    assert without_oldest_media(job) is job


@pytest.mark.parametrize(("count", "first", "number"), [(101, 20, 81), (120, 20, 100), (121, 40, 81), (300, 200, 100)])
def test_leaves_out_the_oldest_in_steps(count: int, first: int, number: int) -> None:
    job = agent(count)

    assert shown(without_oldest_media(job)) == [str(n) for n in range(first, count)]
    assert (count_oldest_media(job.turns, job.model), count - first) == (first, number)


def test_most_turns_begin_with_all_of_the_turn_before() -> None:
    jobs = [agent(number) for number in range(95, 145)]

    assert first_bytes_last(jobs) == 3


def test_a_text_stands_in_the_place_of_each() -> None:
    blocks: tuple[Block, ...] = (Text("a"), image(1), PAPER, NAMELESS, Text("b"))
    rest = tuple(image(number) for number in range(100))
    result = ToolResult("c", (image(2), Text("c")))
    turns = (Turn("user", blocks), Turn("assistant", (ToolUse("c", "f", {}),)), Turn("user", (result, *rest)))

    first, _, last = without_oldest_media(a_job(*turns)).turns

    assert first.blocks == (Text("a"), NO_IMAGE, NO_PAPER, NO_DOCUMENT, Text("b"))
    assert last.blocks[:17] == (ToolResult("c", (NO_IMAGE, Text("c"))), *[NO_IMAGE] * 16)
    assert last.blocks[17:] == rest[16:]


def test_leaves_out_what_is_too_much_for_one_message() -> None:
    job = a_job(
        Turn("user", tuple(image(number) for number in range(250))), assistant("ok"), Turn("user", (Text("so?"),))
    )

    assert shown(without_oldest_media(job)) == [str(number) for number in range(160, 250)]


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-sonnet-4-5-20250929", 100),
        ("claude-sonnet-4-5-20250929[1m]", 600),
        ("claude-sonnet-4-6", 100),
        ("claude-opus-4-7", 600),
        ("claude-opus-4-70", 100),
        ("claude-opus-4-8-20260101", 600),
        ("us.anthropic.claude-opus-5-v1:0", 600),
        ("claude-opus-5@20260514", 600),
        ("claude-opus-5-5", 600),
        ("claude-opus-5-6", 100),
        ("claude-haiku-5", 100),
        ("claude-haiku-5-5", 600),
        ("claude-fable-5-2", 600),
        ("claude-of-tomorrow", 100),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/x", 100),
    ],
)
def test_a_model_with_a_long_context_is_sent_more(model: str, most: int) -> None:
    assert max_media(model) == most
    assert count_oldest_media(replace(agent(101), model=model).turns, model) == (20 if most == 100 else 0)
