"""A lone surrogate becomes U+FFFD, and a pair stays a character, for any split of the text into chunks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import visible_text_and_thinking
from tests.workers.scripted_process import block_start_frame, message_start_frame, stream_event_frame
from workers.cli.frames import FrameDecoder
from workers.core.events import ToolInputDelta
from workers.core.surrogate_repair import JsonSurrogateRepair, SurrogateRepair, replace_lone_surrogates
from workers.parsing.turn_parser import TurnParser

TEXTS_WITH_SURROGATES = st.text(st.sampled_from('a\\"\ud83d\ude00\ude01\u00e9'), max_size=12)


def repair_in_chunks(repair: SurrogateRepair | JsonSurrogateRepair, text: str, size: int) -> str:
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    return "".join([*map(repair.feed, chunks), repair.flush()])


@given(TEXTS_WITH_SURROGATES, st.integers(1, 5))
def test_repairs_a_text_independently_of_chunk_size(text: str, size: int) -> None:
    assert repair_in_chunks(SurrogateRepair(), text, size) == replace_lone_surrogates(text)


@given(TEXTS_WITH_SURROGATES, st.integers(1, 9))
def test_repairs_call_arguments_independently_of_chunk_size(text: str, size: int) -> None:
    json_text = json.dumps({"a": text, text: [1]})
    repaired = repair_in_chunks(JsonSurrogateRepair(), json_text, size)
    repaired.encode()
    expected = replace_lone_surrogates(text)
    assert json.loads(repaired) == {"a": expected, expected: [1]}


@pytest.mark.parametrize("text", ['{"a":"\\\\ud83d"}', '{"a":"\\u00e9\\n"}', "{}", '{"a', '{"a":"x\\', '{"a":"\\ud8'])
def test_keeps_arguments_without_lone_surrogates_also_if_incomplete(text: str) -> None:
    assert repair_in_chunks(JsonSurrogateRepair(), text, 1) == text


def encode_reply(*deltas: dict[str, str]) -> bytes:
    frames = [
        message_start_frame(),
        block_start_frame(),
        *(stream_event_frame("content_block_delta", index=0, delta=delta) for delta in deltas),
    ]
    ends = [
        stream_event_frame("content_block_stop", index=0),
        stream_event_frame("message_delta", delta={"stop_reason": "max_tokens"}),
    ]
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in [*frames, *ends])


def test_joins_surrogate_halves_of_two_frames() -> None:
    parser = TurnParser()
    texts = ("a\ud83d", "\ude00 b\ude00", "\ud83d")
    frames = FrameDecoder().feed(encode_reply(*({"type": "text_delta", "text": text} for text in texts)))
    events = [event for frame in frames for event in parser.feed(frame)]
    assert visible_text_and_thinking(events)[0] == "a\U0001f600 b\ufffd\ufffd"


def test_replaces_an_escaped_lone_surrogate_in_a_call_by_an_escape() -> None:
    parser = TurnParser()
    chunks = ('{"a":"\\ud8', '3d"}')
    frames = FrameDecoder().feed(
        encode_reply(*({"type": "input_json_delta", "partial_json": chunk} for chunk in chunks))
    )
    events = [event for frame in frames for event in parser.feed(frame)]
    assert "".join(event.text for event in events if isinstance(event, ToolInputDelta)) == '{"a":"\\ufffd"}'
