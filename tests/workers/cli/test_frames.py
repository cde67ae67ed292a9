import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.cli.frames import FrameDecoder, FrameError
from workers.core.frame import Frame, encode_line

_TWENTY_MB = 20 * 1024 * 1024

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
frame_lists = st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=6)
any_text = st.text(st.characters() | st.characters(categories=["Cs"]))


@given(frame_lists, st.data())
def test_decodes_the_same_frames_from_any_chunks(frames: list[Frame], data: st.DataObject) -> None:
    line_bytes = b"".join(map(encode_line, frames))
    boundaries = sorted(data.draw(st.lists(st.integers(0, len(line_bytes)), max_size=12)))
    decoder = FrameDecoder()
    received = []
    for start, end in zip([0, *boundaries], [*boundaries, len(line_bytes)], strict=True):
        received += decoder.feed(line_bytes[start:end])
    assert received == frames


def test_decodes_frames_from_single_bytes() -> None:
    decoder = FrameDecoder()
    received = [frame for byte in '{"a":"é"}\n{"b":2}\n'.encode() for frame in decoder.feed(bytes([byte]))]
    assert received == [{"a": "é"}, {"b": 2}]


def test_returns_a_frame_only_after_the_end_of_its_line() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b'{"a":1}') == []
    assert decoder.feed(b"\n") == [{"a": 1}]


def test_ignores_blank_lines_and_carriage_returns() -> None:
    assert FrameDecoder().feed(b'\n\r\n  \n{"a":1}\r\n') == [{"a": 1}]


def test_decodes_a_line_of_20_megabytes_from_chunks() -> None:
    frame = {"text": "x" * _TWENTY_MB}
    line = encode_line(frame)
    decoder = FrameDecoder()
    received = [
        decoded for start in range(0, len(line), 65536) for decoded in decoder.feed(line[start : start + 65536])
    ]
    assert received == [frame]


def test_rejects_a_line_that_is_longer_than_the_limit() -> None:
    line = b'{"a":"123"}'
    assert FrameDecoder(len(line)).feed(line + b"\n") == [{"a": "123"}]
    with pytest.raises(FrameError, match="longer than 10 bytes"):
        FrameDecoder(len(line) - 1).feed(line)


def test_counts_the_bytes_of_each_line_separately() -> None:
    decoder = FrameDecoder(max_line_bytes=8)
    for _ in range(3):
        assert decoder.feed(b'{"a":') == []
        assert decoder.feed(b"1}\n") == [{"a": 1}]
    decoder.feed(b'{"a":')
    with pytest.raises(FrameError):
        decoder.feed(b"1234")


@pytest.mark.parametrize("line", [b"not json\n", b'{"a":"\xff"}\n', b'{"a":"\xed\xa0\x80"}\n', b'{"a":1\n', b"{}{}\n"])
def test_rejects_a_line_that_is_not_json_in_utf_8(line: bytes) -> None:
    with pytest.raises(FrameError, match="not JSON"):
        FrameDecoder().feed(line)


@pytest.mark.parametrize("line", [b"[1]\n", b'"text"\n', b"null\n", b"7\n"])
def test_rejects_a_line_that_is_not_a_json_object(line: bytes) -> None:
    with pytest.raises(FrameError, match="not a JSON object"):
        FrameDecoder().feed(line)


def test_quotes_only_the_start_of_a_long_line_in_the_error() -> None:
    with pytest.raises(FrameError) as caught:
        FrameDecoder().feed(b"x" * 100_000 + b"\n")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("\ud83d", "\ufffd"),
        ("a\ud83db", "a\ufffdb"),
        ("a\ude00", "a\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),  # a pair
        ("\ufeffkept", "\ufeffkept"),
        ("\ufeff\ud83d", "\ufeff\ufffd"),
    ],
)
def test_replaces_lone_surrogates_in_encoded_frames(text: str, encoded: str) -> None:
    nested = {"a": [{"b": text}], text: 1}
    assert json.loads(encode_line(nested)) == {"a": [{"b": encoded}], encoded: 1}


@given(any_text)
def test_decodes_any_encoded_text_with_surrogates_paired_or_replaced(text: str) -> None:
    line = encode_line({"text": text})
    assert line.count(b"\n") == 1
    paired = re.sub("[\ud800-\udbff][\udc00-\udfff]", _join_surrogates, text)
    assert FrameDecoder().feed(line) == [{"text": re.sub("[\ud800-\udfff]", "\ufffd", paired)}]


def _join_surrogates(pair: re.Match[str]) -> str:
    high, low = map(ord, pair.group())
    return chr(0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00))
