"""A long message is written piece by piece, to the same bytes."""

from claude_gateway.web.framing import encode_frame, encode_in_pieces


def test_a_long_text_has_the_same_bytes_in_pieces() -> None:
    text = "a\u2028é\x85\U0001f600" * 700_000
    assert b"".join(encode_in_pieces(text)) == encode_frame(text)
    assert b"".join(encode_in_pieces("")) == b""
