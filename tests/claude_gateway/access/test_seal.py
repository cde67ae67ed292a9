"""What a caller keeps for the gateway: it comes back as it was, or not at all."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.access.seal import Seal

KEY = bytes(range(32))
OURS = Seal(KEY, "a caller")


@given(st.binary())
def test_what_was_sealed_comes_back(content: bytes) -> None:
    assert OURS.unseal(OURS.seal(content)) == content


@pytest.mark.promise("responses.reasoning-sealed")
@given(st.binary(min_size=1), st.data())
def test_a_letter_changed_anywhere_breaks_the_seal(content: bytes, choice: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(OURS.seal(content)))
    raw[choice.draw(st.integers(0, len(raw) - 1))] ^= choice.draw(st.integers(1, 255))

    assert OURS.unseal(base64.urlsafe_b64encode(raw).decode()) is None


@pytest.mark.promise("responses.reasoning-sealed")
@pytest.mark.parametrize("other", [Seal(KEY, "another caller"), Seal(KEY, ""), Seal(bytes(32), "a caller")])
def test_what_another_key_or_gateway_sealed_is_not_ours(other: Seal) -> None:
    assert OURS.unseal(other.seal(b"a thought")) is None


@pytest.mark.parametrize("text", ["", "gAAAAABfake", "é", "AAAA", "=", "a b", "👍" * 100])
def test_what_nobody_sealed_is_nothing(text: str) -> None:
    assert OURS.unseal(text) is None
