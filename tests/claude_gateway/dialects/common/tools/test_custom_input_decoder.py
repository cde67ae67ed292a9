"""The plain text of a custom tool, decoded from JSON fragments."""

import json
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.dialects.common.tools.custom_input_decoder import CustomInputDecoder
from tests.claude_gateway.dialects.strategies.json_values import unicode_text

texts = unicode_text | st.text(st.sampled_from('\\"/{}ud83😀\n\t\x00é'), max_size=30)


def decode(json_text: str, cuts: list[int]) -> tuple[list[str], str]:
    """Return the decoded fragments, and the complete text at the end."""
    decoder = CustomInputDecoder()
    positions = [0, *sorted(cut for cut in cuts if cut < len(json_text)), len(json_text)]
    fragments = [decoder.feed(json_text[a:b]) for a, b in pairwise(positions)]
    return [*fragments, decoder.end()], decoder.text


@pytest.mark.promise("responses.custom-tools")
@given(text=texts, escaped=st.booleans(), spaces=st.sampled_from(["", " ", "\n  "]), cuts=st.lists(st.integers(0, 80)))
def test_decoded_fragments_add_up_to_the_text_however_split_and_escaped(
    text: str, escaped: bool, spaces: str, cuts: list[int]
) -> None:
    string = json.dumps(text, ensure_ascii=escaped)
    fragments, full_text = decode(f'{spaces}{{{spaces}"input"{spaces}:{spaces}{string}{spaces}}}', cuts)

    assert "".join(fragments) == full_text == text


def test_emits_each_character_as_soon_as_it_is_certain() -> None:
    decoder = CustomInputDecoder()

    assert [decoder.feed(fragment) for fragment in ('{"input": "a', "b\\", "nc", "\\ud83d", '\\ude00"', "}")] == [
        *("a", "b", "\nc", "", "😀", "")
    ]


@given(value=st.dictionaries(unicode_text.filter(lambda name: name != "input"), unicode_text, min_size=1, max_size=2))
def test_emits_other_json_unchanged(value: dict[str, str]) -> None:
    json_text = orjson.dumps(value).decode()

    fragments, full_text = decode(json_text, [1, 5])

    assert "".join(fragments) == full_text == json_text


@pytest.mark.parametrize(
    ("json_text", "text"),
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
def test_emits_the_readable_part_of_truncated_or_invalid_json(json_text: str, text: str, cuts: list[int]) -> None:
    fragments, full_text = decode(json_text, cuts)

    assert "".join(fragments) == full_text == text


def test_decodes_long_input_in_linear_time() -> None:
    """The decoder gets a patch of a megabyte in small fragments, and must not read any of them again."""
    decoder = CustomInputDecoder()
    fragments = [
        decoder.feed('{"input": "'),
        *(decoder.feed("abcdefgh" * 4) for _ in range(30_000)),
        decoder.feed('"}'),
    ]

    assert len("".join(fragments)) == 30_000 * 32
