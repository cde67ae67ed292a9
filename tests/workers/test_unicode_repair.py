"""Half a surrogate pair becomes U+FFFD, however the text is cut; a whole pair stays a character."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import reads
from workers.answer import Answer
from workers.events import InputDelta
from workers.fake import block_start, message_start, stream_event
from workers.frames import FrameDecoder
from workers.unicode_repair import JsonTextRepair, TextRepair, without_halves

HALVES = st.text(st.sampled_from('a\\"\ud83d\ude00\ude01\u00e9'), max_size=12)


def in_pieces(repair: TextRepair | JsonTextRepair, text: str, size: int) -> str:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return "".join([*map(repair.feed, pieces), repair.end()])


@given(HALVES, st.integers(1, 5))
def test_a_text_is_repaired_the_same_however_it_is_cut(text: str, size: int) -> None:
    assert in_pieces(TextRepair(), text, size) == without_halves(text)


@given(HALVES, st.integers(1, 9))
def test_the_arguments_of_a_call_are_repaired_the_same_however_they_are_cut(text: str, size: int) -> None:
    written = json.dumps({"a": text, text: [1]})
    repaired = in_pieces(JsonTextRepair(), written, size)
    repaired.encode()
    wanted = without_halves(text)
    assert json.loads(repaired) == {"a": wanted, wanted: [1]}


@pytest.mark.parametrize("text", ['{"a":"\\\\ud83d"}', '{"a":"\\u00e9\\n"}', "{}", '{"a', '{"a":"x\\', '{"a":"\\ud8'])
def test_arguments_without_half_a_pair_pass_unchanged_also_where_they_break_off(text: str) -> None:
    assert in_pieces(JsonTextRepair(), text, 1) == text


def frames_of(*deltas: dict[str, str]) -> bytes:
    frames = [message_start(), block_start(), *(stream_event("content_block_delta", index=0, delta=d) for d in deltas)]
    ends = [
        stream_event("content_block_stop", index=0),
        stream_event("message_delta", delta={"stop_reason": "max_tokens"}),
    ]
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in [*frames, *ends])


def test_a_frame_that_names_half_a_pair_is_read_and_the_halves_of_two_frames_make_a_character() -> None:
    answer = Answer()
    words = ("a\ud83d", "\ude00 b\ude00", "\ud83d")
    read = FrameDecoder().feed(frames_of(*({"type": "text_delta", "text": word} for word in words)))
    events = [event for frame in read for event in answer.feed(frame)]
    assert reads(events)[0] == "a\U0001f600 b\ufffd\ufffd"


def test_half_a_pair_in_a_call_becomes_the_escape_of_a_replacement() -> None:
    answer = Answer()
    pieces = ('{"a":"\\ud8', '3d"}')
    read = FrameDecoder().feed(frames_of(*({"type": "input_json_delta", "partial_json": piece} for piece in pieces)))
    events = [event for frame in read for event in answer.feed(frame)]
    assert "".join(event.text for event in events if isinstance(event, InputDelta)) == '{"a":"\\ufffd"}'
