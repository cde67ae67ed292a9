"""A thought is signed, and the signature belongs to its text."""

from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.demo.thoughts import is_signed, sign


@given(st.text())
def test_signature_fits_its_text(thinking: str) -> None:
    assert is_signed({"thinking": thinking, "signature": sign(thinking)})


@given(st.text(min_size=1), st.text(min_size=1))
def test_signature_of_another_text_does_not_fit(one: str, other: str) -> None:
    assert is_signed({"thinking": one, "signature": sign(other)}) == (one == other)


def test_thought_may_come_back_without_its_text() -> None:
    assert is_signed({"thinking": "", "signature": sign("hm")})
    assert not is_signed({"thinking": "", "signature": "c2lnbmVk"})
    assert not is_signed({"thinking": "", "signature": "no base64!"})
    assert not is_signed({"thinking": "", "signature": ""})
