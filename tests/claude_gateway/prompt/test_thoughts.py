"""Thoughts sealed into one string and taken out again; what others wrote is nobody's thought."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.access.seal import Seal
from claude_gateway.prompt.thoughts import seal, unseal
from tests.claude_gateway.dialects.anything import words
from workers.job import RedactedThought, Thought

KEY = b"the key of the tests"
OURS = Seal(KEY, "a caller")
signatures = st.text(min_size=1, max_size=12)
thoughts = st.lists(st.builds(Thought, words, signatures) | st.builds(RedactedThought, signatures), max_size=3)


@given(thoughts)
def test_what_was_sealed_is_taken_out_in_either_alphabet_of_base64(given_: list[Thought | RedactedThought]) -> None:
    text = seal(given_, OURS)
    raw = base64.urlsafe_b64decode(text)

    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        assert unseal(alphabet(raw).decode(), OURS) == tuple(given_)


@given(st.text() | st.binary().map(base64.b64encode).map(bytes.decode))
def test_what_others_wrote_holds_no_thought(text: str) -> None:
    assert unseal(text, OURS) == ()


@given(thoughts)
def test_what_was_sealed_for_another_caller_holds_none_either(given_: list[Thought | RedactedThought]) -> None:
    assert unseal(seal(given_, Seal(KEY, "another caller")), OURS) == ()
