"""A signature of thinking belongs to its text."""

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature, has_valid_signature


@given(st.text())
def test_accepts_signature_of_its_text(thinking: str) -> None:
    assert has_valid_signature({"thinking": thinking, "signature": compute_thinking_signature(thinking)})


@given(st.text(min_size=1), st.text(min_size=1))
def test_rejects_signature_of_another_text(text: str, other: str) -> None:
    assert has_valid_signature({"thinking": text, "signature": compute_thinking_signature(other)}) == (text == other)


def test_accepts_thinking_without_its_text() -> None:
    assert has_valid_signature({"thinking": "", "signature": compute_thinking_signature("hm")})
    assert not has_valid_signature({"thinking": "", "signature": "c2lnbmVk"})
    assert not has_valid_signature({"thinking": "", "signature": "no base64!"})
    assert not has_valid_signature({"thinking": "", "signature": ""})
