"""Conversations with more images and documents than the model accepts."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.workers.helpers import assistant_turn, make_job
from workers.conversation.media_limit import count_omitted_media, drop_oldest_media, get_max_media_count
from workers.core.job import Block, ChatJob, Document, Image, Text, ToolResult, ToolUse, Turn

PAPER = Document({"source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "a paper"})
UNTITLED = Document({"source": {"type": "text", "media_type": "text/plain", "data": "b"}})
NO_IMAGE = Text("[An image was here. It is no longer included, because this conversation holds too many of them.]")
NO_PAPER = Text(
    "[The document 'a paper' was here. It is no longer included, because this conversation holds too many of them.]"
)
NO_DOCUMENT = Text("[A document was here. It is no longer included, because this conversation holds too many of them.]")


def image(number: int) -> Image:
    return Image({"type": "base64", "media_type": "image/png", "data": f"{number}"})


def screenshot_job(screenshots: int) -> ChatJob:
    """Build a job in which each tool result has a screenshot."""
    turns = [Turn("user", (Text("go"),))]
    for number in range(screenshots):
        turns.append(Turn("assistant", (ToolUse(f"c{number}", "look", {}),)))
        turns.append(Turn("user", (ToolResult(f"c{number}", (Text("seen"), image(number))),)))
    return make_job(*turns)


def list_images(job: ChatJob) -> list[str]:
    parts = [part for turn in job.turns for block in turn.blocks for part in getattr(block, "content", (block,))]
    return [part.source["data"] for part in parts if isinstance(part, Image)]


def count_prefix_changes(jobs: list[ChatJob]) -> int:
    """Count the jobs that do not begin with all turns of the previous job."""
    limited_turns = [drop_oldest_media(job).turns for job in jobs]
    return sum(after[: len(before)] != before for before, after in pairwise(limited_turns))


@pytest.mark.parametrize("count", [0, 1, 100])
def test_returns_a_job_within_the_limit_unchanged(count: int) -> None:
    job = screenshot_job(count)

    assert drop_oldest_media(job) is job


@pytest.mark.parametrize(("count", "first", "number"), [(101, 20, 81), (120, 20, 100), (121, 40, 81), (300, 200, 100)])
def test_drops_the_oldest_media_in_steps(count: int, first: int, number: int) -> None:
    job = screenshot_job(count)

    assert list_images(drop_oldest_media(job)) == [str(n) for n in range(first, count)]
    assert (count_omitted_media(job.turns, job.model), count - first) == (first, number)


def test_keeps_the_prefix_of_a_growing_conversation_between_steps() -> None:
    jobs = [screenshot_job(number) for number in range(95, 145)]

    assert count_prefix_changes(jobs) == 3


def test_replaces_each_dropped_medium_by_a_placeholder() -> None:
    blocks: tuple[Block, ...] = (Text("a"), image(1), PAPER, UNTITLED, Text("b"))
    rest = tuple(image(number) for number in range(100))
    result = ToolResult("c", (image(2), Text("c")))
    turns = (Turn("user", blocks), Turn("assistant", (ToolUse("c", "f", {}),)), Turn("user", (result, *rest)))

    first, _, last = drop_oldest_media(make_job(*turns)).turns

    assert first.blocks == (Text("a"), NO_IMAGE, NO_PAPER, NO_DOCUMENT, Text("b"))
    assert last.blocks[:17] == (ToolResult("c", (NO_IMAGE, Text("c"))), *[NO_IMAGE] * 16)
    assert last.blocks[17:] == rest[16:]


def test_drops_media_within_one_message() -> None:
    job = make_job(
        Turn("user", tuple(image(number) for number in range(250))), assistant_turn("ok"), Turn("user", (Text("so?"),))
    )

    assert list_images(drop_oldest_media(job)) == [str(number) for number in range(160, 250)]


@pytest.mark.parametrize(
    ("model", "max_count"),
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
def test_sends_more_media_to_a_model_with_a_long_context(model: str, max_count: int) -> None:
    assert get_max_media_count(model) == max_count
    assert count_omitted_media(replace(screenshot_job(101), model=model).turns, model) == (
        20 if max_count == 100 else 0
    )
