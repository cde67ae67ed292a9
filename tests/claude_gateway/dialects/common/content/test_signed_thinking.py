"""Thinking blocks as one signed string, and back; a string with another signature contains no thinking."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.auth.signing import HmacSigner
from claude_gateway.dialects.common.content.signed_thinking import sign_thinking, verify_thinking
from tests.claude_gateway.dialects.strategies.json_values import unicode_text
from workers.core.job import RedactedThinkingBlock, ThinkingBlock

SECRET = b"the secret of the tests"
SIGNER = HmacSigner(SECRET, "key_1")
signatures = st.text(min_size=1, max_size=12)
thinking_blocks = st.lists(
    st.builds(ThinkingBlock, unicode_text, signatures) | st.builds(RedactedThinkingBlock, signatures), max_size=3
)


@given(thinking_blocks)
def test_round_trips_thinking_in_both_base64_alphabets(
    blocks: list[ThinkingBlock | RedactedThinkingBlock],
) -> None:
    text = sign_thinking(blocks, SIGNER)
    raw = base64.urlsafe_b64decode(text)

    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        assert verify_thinking(alphabet(raw).decode(), SIGNER) == tuple(blocks)


@given(st.text() | st.binary().map(base64.b64encode).map(bytes.decode))
def test_finds_no_thinking_in_foreign_strings(text: str) -> None:
    assert verify_thinking(text, SIGNER) == ()


@given(thinking_blocks)
def test_finds_no_thinking_signed_for_another_key(
    blocks: list[ThinkingBlock | RedactedThinkingBlock],
) -> None:
    assert verify_thinking(sign_thinking(blocks, HmacSigner(SECRET, "key_2")), SIGNER) == ()
