import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.frames import Frame, FrameDecoder, FrameError, encode

_TWENTY_MB = 20 * 1024 * 1024

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
frames = st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=6)
any_text = st.text(st.characters() | st.characters(categories=["Cs"]))


@given(frames, st.data())
def test_any_cut_of_the_bytes_gives_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    line_bytes = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line_bytes)), max_size=12)))
    decoder = FrameDecoder()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(line_bytes)], strict=True):
        received += decoder.feed(line_bytes[start:end])
    assert received == sent


def test_every_single_byte_may_come_alone() -> None:
    decoder = FrameDecoder()
    received = [frame for byte in '{"a":"é"}\n{"b":2}\n'.encode() for frame in decoder.feed(bytes([byte]))]
    assert received == [{"a": "é"}, {"b": 2}]


def test_a_frame_is_not_given_out_before_its_line_ends() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b'{"a":1}') == []
    assert decoder.feed(b"\n") == [{"a": 1}]


def test_blank_lines_and_carriage_returns_are_nothing() -> None:
    assert FrameDecoder().feed(b'\n\r\n  \n{"a":1}\r\n') == [{"a": 1}]


def test_a_line_of_20_megabytes_passes_in_pieces() -> None:
    frame = {"text": "x" * _TWENTY_MB}
    line = encode(frame)
    decoder = FrameDecoder()
    received = [one for at in range(0, len(line), 65536) for one in decoder.feed(line[at : at + 65536])]
    assert received == [frame]


def test_a_line_may_be_as_long_as_the_bound_and_no_longer() -> None:
    line = b'{"a":"123"}'
    assert FrameDecoder(len(line)).feed(line + b"\n") == [{"a": "123"}]
    with pytest.raises(FrameError, match="without an end"):
        FrameDecoder(len(line) - 1).feed(line)


def test_the_bound_counts_the_pieces_of_one_line_and_starts_anew_with_the_next() -> None:
    decoder = FrameDecoder(longest_line=8)
    for _ in range(3):
        assert decoder.feed(b'{"a":') == []
        assert decoder.feed(b"1}\n") == [{"a": 1}]
    decoder.feed(b'{"a":')
    with pytest.raises(FrameError):
        decoder.feed(b"1234")


@pytest.mark.parametrize("line", [b"not json\n", b'{"a":"\xff"}\n', b'{"a":"\xed\xa0\x80"}\n', b'{"a":1\n', b"{}{}\n"])
def test_a_line_that_is_not_json_in_utf_8_is_an_error(line: bytes) -> None:
    with pytest.raises(FrameError, match="not JSON"):
        FrameDecoder().feed(line)


@pytest.mark.parametrize("line", [b"[1]\n", b'"text"\n', b"null\n", b"7\n"])
def test_a_line_that_is_json_but_no_object_is_an_error(line: bytes) -> None:
    with pytest.raises(FrameError, match="not a JSON object"):
        FrameDecoder().feed(line)


def test_an_error_quotes_only_the_start_of_a_long_line() -> None:
    with pytest.raises(FrameError) as caught:
        FrameDecoder().feed(b"x" * 100_000 + b"\n")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\ud83d", "\ufffd"),
        ("a\ud83db", "a\ufffdb"),
        ("a\ude00", "a\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),  # a pair that was only written as two
        ("\ufeffkept", "\ufeffkept"),
        ("\ufeff\ud83d", "\ufeff\ufffd"),
    ],
)
def test_lone_surrogates_become_replacement_characters(text: str, written: str) -> None:
    nested = {"a": [{"b": text}], text: 1}
    assert json.loads(encode(nested)) == {"a": [{"b": written}], written: 1}


@given(any_text)
def test_any_text_is_one_line_that_reads_back_with_its_surrogates_paired_or_replaced(text: str) -> None:
    line = encode({"text": text})
    assert line.count(b"\n") == 1
    paired = re.sub("[\ud800-\udbff][\udc00-\udfff]", _as_one_character, text)
    assert FrameDecoder().feed(line) == [{"text": re.sub("[\ud800-\udfff]", "\ufffd", paired)}]


def _as_one_character(pair: re.Match[str]) -> str:
    high, low = map(ord, pair.group())
    return chr(0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00))
