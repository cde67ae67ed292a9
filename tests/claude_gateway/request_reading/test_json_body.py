"""Decompression of a body, with limits for its compressed and its decompressed size."""

import gzip
import zlib

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.request_reading.json_body import IDENTITY_ENCODING, RequestBody, decompress
from tests.e2e.helpers.hostile_bodies import _empty_deflate_blocks

LIMIT = 1_000_000
TEXT = b'{"model":"x"}'


def get_rejection(raw: bytes, encoding: str = "deflate") -> ApiError:
    with pytest.raises(ApiError) as raised:
        decompress(RequestBody(raw, encoding, LIMIT))
    return raised.value


@pytest.mark.parametrize("compress", [zlib.compress, lambda raw: zlib.compress(raw, 0)], ids=["compressed", "stored"])
@pytest.mark.parametrize("text", [TEXT, b"x" * LIMIT, bytes(range(256)) * 3_000], ids=["short", "same", "various"])
def test_decompresses_body(compress: object, text: bytes) -> None:
    assert callable(compress)
    assert decompress(RequestBody(compress(text), "deflate", LIMIT)) == RequestBody(text, IDENTITY_ENCODING, LIMIT)
    assert decompress(RequestBody(gzip.compress(text), "gzip", LIMIT)).raw == text


def test_rejects_empty_deflate_blocks_before_reading_all_of_them() -> None:
    error = get_rejection(_empty_deflate_blocks(500_000))
    assert (error.status, error.code) == (413, "request_too_large")
    assert "more bytes compressed than decompressed" in error.message
    # The rest of the body is never read.
    assert get_rejection(_empty_deflate_blocks(500_000)[:300_000] + b"no deflate" * 10_000).status == 413


def test_rejects_body_that_decompresses_beyond_the_limit() -> None:
    assert get_rejection(zlib.compress(b"0" * (LIMIT + 1))).status == 413


@pytest.mark.parametrize("raw", [b"", b"no deflate", zlib.compress(TEXT)[:-5], zlib.compress(b"x" * 200_000)[:-5]])
def test_rejects_body_that_does_not_match_its_encoding(raw: bytes) -> None:
    assert get_rejection(raw).status == 400
