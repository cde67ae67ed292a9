"""Signed data that clients keep: the gateway accepts it only unchanged and from the same key."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.auth.signing import HmacSigner

SIGNING_KEY = bytes(range(32))
SIGNER = HmacSigner(SIGNING_KEY, "one key")


@given(st.binary())
def test_returns_the_content_that_it_signed(content: bytes) -> None:
    assert SIGNER.verify(SIGNER.sign(content)) == content


@pytest.mark.promise("responses.reasoning-signed")
@given(st.binary(min_size=1), st.data())
def test_rejects_any_changed_character(content: bytes, choice: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SIGNER.sign(content)))
    raw[choice.draw(st.integers(0, len(raw) - 1))] ^= choice.draw(st.integers(1, 255))

    assert SIGNER.verify(base64.urlsafe_b64encode(raw).decode()) is None


@pytest.mark.promise("responses.reasoning-signed")
@pytest.mark.parametrize(
    "other", [HmacSigner(SIGNING_KEY, "another key"), HmacSigner(SIGNING_KEY, ""), HmacSigner(bytes(32), "one key")]
)
def test_rejects_signature_of_another_key_or_gateway(other: HmacSigner) -> None:
    assert SIGNER.verify(other.sign(b"thinking")) is None


@pytest.mark.parametrize("text", ["", "gAAAAABfake", "é", "AAAA", "=", "a b", "👍" * 100])
def test_rejects_unsigned_text(text: str) -> None:
    assert SIGNER.verify(text) is None
