"""A packed body is unpacked within bounds of what comes out and of what goes in."""

import gzip
import zlib

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.reading.json_body import IDENTITY, Body, unpack
from tests.e2e.hostile_bodies import _empty_blocks

LIMIT = 1_000_000
TEXT = b'{"model":"x"}'


def refusal(raw: bytes, encoding: str = "deflate") -> ApiError:
    with pytest.raises(ApiError) as found:
        unpack(Body(raw, encoding, LIMIT))
    return found.value


@pytest.mark.parametrize("pack", [zlib.compress, lambda raw: zlib.compress(raw, 0)], ids=["packed", "stored"])
@pytest.mark.parametrize("text", [TEXT, b"x" * LIMIT, bytes(range(256)) * 3_000], ids=["short", "same", "various"])
def test_what_was_packed_comes_out(pack: object, text: bytes) -> None:
    assert callable(pack)
    assert unpack(Body(pack(text), "deflate", LIMIT)) == Body(text, IDENTITY, LIMIT)
    assert unpack(Body(gzip.compress(text), "gzip", LIMIT)).raw == text


def test_a_body_of_blocks_with_nothing_in_them_is_refused_before_they_are_all_read() -> None:
    error = refusal(_empty_blocks(500_000))
    assert (error.status, error.code) == (413, "request_too_large")
    assert "more bytes packed than unpacked" in error.message
    # The rest of it is not even looked at.
    assert refusal(_empty_blocks(500_000)[:300_000] + b"no deflate" * 10_000).status == 413


def test_a_body_that_unpacks_to_too_much_is_refused() -> None:
    assert refusal(zlib.compress(b"0" * (LIMIT + 1))).status == 413


@pytest.mark.parametrize("raw", [b"", b"no deflate", zlib.compress(TEXT)[:-5], zlib.compress(b"x" * 200_000)[:-5]])
def test_a_body_that_is_not_what_it_says_is_refused(raw: bytes) -> None:
    assert refusal(raw).status == 400
