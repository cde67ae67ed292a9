"""Encoding of turns for the database."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.sessions.turn_codec import decode_turn, encode_turn
from workers.core.job import Document, Image, RedactedThinkingBlock, Text, ThinkingBlock, ToolResult, ToolUse, Turn

JSON_OBJECTS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
TEXTS = st.builds(Text, st.text())
IMAGES = st.builds(Image, st.fixed_dictionaries({"type": st.just("base64"), "data": st.text()}))
DOCUMENTS = st.builds(Document, JSON_OBJECTS.map(lambda fields: {k: v for k, v in fields.items() if k != "type"}))
BLOCKS = st.one_of(
    TEXTS,
    IMAGES,
    DOCUMENTS,
    st.builds(ThinkingBlock, st.text(), st.text()),
    st.builds(RedactedThinkingBlock, st.text()),
    st.builds(ToolUse, st.text(), st.text(), JSON_OBJECTS),
    st.builds(ToolResult, st.text(), st.lists(TEXTS | IMAGES | DOCUMENTS, max_size=3).map(tuple), st.booleans()),
)


@given(st.builds(Turn, st.sampled_from(["user", "assistant"]), st.lists(BLOCKS, max_size=5).map(tuple)))
def test_decoding_an_encoded_turn_returns_the_same_turn(turn: Turn) -> None:
    assert decode_turn(encode_turn(turn)) == turn


def test_keeps_the_url_of_fetched_media() -> None:
    parts = (Image({"type": "base64"}, "https://a/b.png"), Document({"title": "b"}, "https://a/b.pdf"), Image({}))
    turn = Turn("user", (*parts, ToolResult("c", parts)))

    decoded = decode_turn(encode_turn(turn))

    urls = ["https://a/b.png", "https://a/b.pdf", ""]
    *blocks, result = decoded.blocks
    assert isinstance(result, ToolResult)
    assert decoded == turn
    assert [part.url for part in (*blocks, *result.content) if isinstance(part, Image | Document)] == urls * 2


def test_rejects_unknown_block_type() -> None:
    stored: Any = b'{"role":"user","content":[{"type":"hologram"}]}'
    with pytest.raises(ValueError, match="hologram"):
        decode_turn(stored)
