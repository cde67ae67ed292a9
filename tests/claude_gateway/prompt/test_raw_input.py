"""The raw text of a custom tool, read out of JSON that comes in pieces."""

import json
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.prompt.raw_input import RawInput
from tests.claude_gateway.dialects.anything import words

texts = words | st.text(st.sampled_from('\\"/{}ud83😀\n\t\x00é'), max_size=30)


def read(written: str, cuts: list[int]) -> tuple[list[str], str]:
    """What was told piece by piece, and what the whole is said to be."""
    raw = RawInput()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(written)), len(written)]
    told = [raw.feed(written[a:b]) for a, b in pairwise(bounds)]
    return [*told, raw.end()], raw.text


@pytest.mark.promise("responses.custom-tools")
@given(text=texts, escaped=st.booleans(), spaces=st.sampled_from(["", " ", "\n  "]), cuts=st.lists(st.integers(0, 80)))
def test_however_it_is_cut_and_escaped_the_pieces_add_up_to_the_text(
    text: str, escaped: bool, spaces: str, cuts: list[int]
) -> None:
    string = json.dumps(text, ensure_ascii=escaped)
    told, whole = read(f'{spaces}{{{spaces}"input"{spaces}:{spaces}{string}{spaces}}}', cuts)

    assert "".join(told) == whole == text


def test_a_letter_is_told_as_soon_as_it_is_sure() -> None:
    raw = RawInput()

    assert [raw.feed(piece) for piece in ('{"input": "a', "b\\", "nc", "\\ud83d", '\\ude00"', "}")] == [
        *("a", "b", "\nc", "", "😀", "")
    ]


@given(value=st.dictionaries(words.filter(lambda name: name != "input"), words, min_size=1, max_size=2))
def test_another_object_is_told_as_it_was_written(value: dict[str, str]) -> None:
    written = orjson.dumps(value).decode()

    told, whole = read(written, [1, 5])

    assert "".join(told) == whole == written


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("", ""),
        ('{"inp', ""),
        ('{"input": "abc', "abc"),
        ('{"input": "abc\\', "abc"),
        ('{"input": "abc\\ud83d', "abc"),
        ('{"input": "abc\\udc00"}', "abc"),
        ('{"input": "abc\nd"}', "abc\nd"),
        ('{"input": "a", "input": "b"}', "a"),
        ('{"input": 5}', '{"input": 5}'),
        ("[1]", "[1]"),
    ],
)
@pytest.mark.parametrize("cuts", [[], list(range(30))], ids=["whole", "letters"])
def test_what_is_cut_off_or_odd_is_told_as_far_as_it_goes(written: str, text: str, cuts: list[int]) -> None:
    told, whole = read(written, cuts)

    assert "".join(told) == whole == text


def test_a_long_input_costs_what_its_length_costs() -> None:
    """A patch of a megabyte in small pieces: nothing is read over and over."""
    raw = RawInput()
    told = [raw.feed('{"input": "'), *(raw.feed("abcdefgh" * 4) for _ in range(30_000)), raw.feed('"}')]

    assert len("".join(told)) == 30_000 * 32
