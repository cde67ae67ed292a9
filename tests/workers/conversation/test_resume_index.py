from typing import Any

import pytest

from tests.workers.scripted_process import text_reply_frames
from workers.conversation.prefix_keys import compute_conversation_and_content_keys, compute_prefix_keys
from workers.conversation.resume_index import (
    EMPTY_RESUME_INDEX,
    LastMessageTracker,
    ResumeIndex,
    ResumePoint,
    parse_resume_index,
)
from workers.core.frame import Frame
from workers.core.job import ChatJob, Text, Turn

IDS = [f"0000000{n}-0000-4000-8000-000000000000" for n in range(4)]
SESSION = IDS[0]


def text_job(*texts: str, model: str = "m", **more: Any) -> ChatJob:
    """Build a job from the texts of its turns, the user's first."""
    turns = (Turn("assistant" if number % 2 else "user", (Text(text),)) for number, text in enumerate(texts))
    return ChatJob("ann", model, tuple(turns), **more)


def content_keys(job: ChatJob) -> tuple[str, ...]:
    return compute_conversation_and_content_keys(job)[1].prefixes


def resume_point(job: ChatJob) -> ResumePoint | None:
    return make_index().find_resume_point(content_keys(job), compute_prefix_keys(job), job.model)


def make_index() -> ResumeIndex:
    """Build the index of a conversation with the replies `1` and `2`."""
    index = EMPTY_RESUME_INDEX
    for number, texts in enumerate((("one", "1"), ("one", "1", "two", "2"))):
        *_, content_key = content_keys(text_job(*texts, "next"))
        index = index.with_last_message(content_key, SESSION, IDS[1 + number])
    return index


def test_resumes_the_longest_recorded_prefix() -> None:
    for job, message, kept_turns in (
        (text_job("one", "1", "two", "2", "three"), IDS[2], 2),
        (text_job("one", "1", "another"), IDS[1], 1),
        (text_job("one", "1", "two", "otherwise", "three"), IDS[1], 1),
    ):
        assert resume_point(job) == ResumePoint(SESSION, message, compute_prefix_keys(job)[kept_turns], "m")
    for job in (text_job("one"), text_job("another"), text_job("one", "otherwise", "two")):
        assert resume_point(job) is None


def test_resumes_the_same_turns_with_another_model_or_system_prompt() -> None:
    job = text_job("one", "1", "two", model="other", system="Be brief.")
    assert resume_point(job) == ResumePoint(SESSION, IDS[1], compute_prefix_keys(job)[1], "other")


def test_ignores_invalid_ids_and_starts_a_new_index_for_a_new_session_file() -> None:
    for session, message in ((None, IDS[1]), (SESSION, "--dangerous"), (SESSION, f"{IDS[1]}\n"), ("", "")):
        assert make_index().with_last_message("three", session, message) == make_index()
    assert make_index().with_last_message("three", IDS[3], IDS[1]) == ResumeIndex(IDS[3], {"three": IDS[1]})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"session": "x", "ends": {}}', b'{"ends": {}}'])
def test_parses_invalid_content_as_an_empty_index(content: bytes) -> None:
    assert parse_resume_index(content) == EMPTY_RESUME_INDEX


def test_parses_the_index_that_it_encoded_unless_an_id_is_invalid() -> None:
    assert parse_resume_index(make_index().to_json()) == make_index()
    unsafe = ResumeIndex(SESSION, {"one": "--resume"})
    assert parse_resume_index(unsafe.to_json()) == EMPTY_RESUME_INDEX


def track(*frames: Frame) -> LastMessageTracker:
    tracker = LastMessageTracker()
    for frame in frames:
        tracker.feed(frame)
    return tracker


def message_frame(id_: str, **more: object) -> Frame:
    return {"type": "assistant", "uuid": id_, "session_id": SESSION, "message": {}, **more}


def test_knows_the_last_message_once_its_frames_are_complete() -> None:
    *_, end, _ = reply = text_reply_frames("hello")
    assert end["event"]["type"] == "message_stop"
    assert track(*reply, message_frame(IDS[1])).message_uuid == IDS[1]
    assert track(*reply, message_frame(IDS[1]), *reply).message_uuid is None
    assert track(*reply, message_frame(IDS[1], parent_tool_use_id="toolu_1")).message_uuid is None
    assert track(*reply, message_frame(IDS[1]), message_frame(IDS[2], error="server_error")).message_uuid == IDS[1]
