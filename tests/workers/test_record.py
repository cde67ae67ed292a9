from typing import Any

import pytest

from workers.continuation import beginnings
from workers.fake import says
from workers.frames import Frame
from workers.job import ChatJob, Text, Turn
from workers.record import NO_RECORD, LastMessage, Record, Resumption, names_on_record, read

IDS = [f"0000000{n}-0000-4000-8000-000000000000" for n in range(4)]
SESSION = IDS[0]


def asking(*words: str, model: str = "m", **more: Any) -> ChatJob:
    """The user's words and the answers to them, in turns."""
    turns = (Turn("assistant" if number % 2 else "user", (Text(word),)) for number, word in enumerate(words))
    return ChatJob("owner", model, tuple(turns), **more)


def recorded() -> Record:
    """`one` was answered, and then `two`."""
    record = NO_RECORD
    for number, words in enumerate((("one", "1"), ("one", "1", "two", "2"))):
        *_, name = names_on_record(asking(*words, "next"))
        record = record.with_end(name, SESSION, IDS[1 + number])
    return record


def test_the_longest_beginning_that_is_on_record_is_taken_up() -> None:
    for job, message, stays in (
        (asking("one", "1", "two", "2", "three"), IDS[2], 2),
        (asking("one", "1", "another"), IDS[1], 1),
        (asking("one", "1", "two", "otherwise", "three"), IDS[1], 1),
    ):
        assert recorded().resumption(job) == Resumption(SESSION, message, beginnings(job)[stays], "m")
    for job in (asking("one"), asking("another"), asking("one", "otherwise", "two")):
        assert recorded().resumption(job) is None


def test_another_model_or_prompt_takes_up_the_same_words() -> None:
    job = asking("one", "1", "two", model="other", system="Be brief.")
    assert recorded().resumption(job) == Resumption(SESSION, IDS[1], beginnings(job)[1], "other")


def test_what_is_no_id_is_not_put_on_record_and_another_file_begins_another_record() -> None:
    for session, message in ((None, IDS[1]), (SESSION, "--dangerous"), (SESSION, f"{IDS[1]}\n"), ("", "")):
        assert recorded().with_end("three", session, message) == recorded()
    assert recorded().with_end("three", IDS[3], IDS[1]) == Record(IDS[3], {"three": IDS[1]})


@pytest.mark.parametrize("written", [b"", b"{", b"[]", b'{"session": "x", "ends": {}}', b'{"ends": {}}'])
def test_what_is_no_record_is_an_empty_one(written: bytes) -> None:
    assert read(written) == NO_RECORD


def test_a_record_is_read_as_it_was_written() -> None:
    assert read(recorded().written()) == recorded()
    unsafe = Record(SESSION, {"one": "--resume"})
    assert read(unsafe.written()) == NO_RECORD


def told(*frames: Frame) -> LastMessage:
    last = LastMessage()
    for frame in frames:
        last.feed(frame)
    return last


def whole(id_: str, **more: object) -> Frame:
    return {"type": "assistant", "uuid": id_, "session_id": SESSION, "message": {}, **more}


def test_the_last_message_is_known_once_the_cli_has_told_all_of_it() -> None:
    *_, end, _ = answer = says("hello")
    assert end["event"]["type"] == "message_stop"
    assert told(*answer, whole(IDS[1])).id == IDS[1]
    assert told(*answer, whole(IDS[1]), *answer).id is None
    assert told(*answer, whole(IDS[1], parent_tool_use_id="toolu_1")).id is None
    assert told(*answer, whole(IDS[1]), whole(IDS[2], error="server_error")).id == IDS[1]
