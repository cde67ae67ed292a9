"""Thoughts sealed into one string and taken out again; what others wrote is nobody's thought."""

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.thoughts import seal, unseal
from tests.claude_gateway.dialects.anything import json_values, words
from workers.job import RedactedThought, Thought

signatures = st.text(min_size=1, max_size=12)
thoughts = st.lists(st.builds(Thought, words, signatures) | st.builds(RedactedThought, signatures), max_size=3)


@given(thoughts)
def test_what_was_sealed_is_taken_out_in_either_alphabet_of_base64(sealed: list[Thought | RedactedThought]) -> None:
    text = seal(sealed)

    assert unseal(text) == tuple(sealed)
    assert unseal(base64.urlsafe_b64encode(base64.b64decode(text)).decode()) == tuple(sealed)


@given(st.text() | st.binary().map(base64.b64encode).map(bytes.decode))
def test_what_others_wrote_holds_no_thought(text: str) -> None:
    assert unseal(text) == ()


@given(json_values)
def test_our_mark_before_anything_else_makes_no_other_thing_a_thought(value: object) -> None:
    forged = base64.b64encode(b"claude-thoughts-1:" + orjson.dumps(value)).decode()

    assert all(isinstance(one, Thought | RedactedThought) for one in unseal(forged))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[[]]", b'[["a","b","c"]]', b'[["a",""]]', b'[[""]]', b"[" * 2_000, b"\xff"]
)
def test_a_mark_without_a_thought_behind_it_is_none(content: bytes) -> None:
    assert unseal(base64.b64encode(b"claude-thoughts-1:" + content).decode()) == ()
