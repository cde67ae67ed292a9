"""Chunks of long messages."""

from claude_gateway.web.streaming.framing import encode_frame, encode_in_chunks


def test_long_text_has_the_same_bytes_in_chunks() -> None:
    text = "a\u2028é\x85\U0001f600" * 700_000
    assert b"".join(encode_in_chunks(text)) == encode_frame(text)
    assert b"".join(encode_in_chunks("")) == b""
