"""JSON in chunks has the same bytes as JSON in one piece."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core import json_chunks
from workers.core.frame import encode_line
from workers.core.json_chunks import iter_json_chunks

TEXTS = st.text(max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda children: st.lists(children, max_size=5) | st.dictionaries(TEXTS, children, max_size=5),
    max_leaves=20,
)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_chunks, "_MAX_CHUNK_CHARS", 7)


@given(VALUES)
def test_joined_chunks_are_the_json_of_the_value(value: Any) -> None:
    assert b"".join(iter_json_chunks(value)) == orjson.dumps(value)
    assert b"".join(iter_json_chunks(value, sort_keys=True)) == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def test_splits_a_long_text_into_chunks() -> None:
    chunks = list(iter_json_chunks({"text": "x" * 70, "n": 1}))

    assert len(chunks) > 10
    assert max(map(len, chunks)) <= 9


def test_keeps_surrogate_pairs_together_and_replaces_a_lone_surrogate() -> None:
    for lead in range(8):
        text = "x" * lead + "\ud83d\ude00" + "y" * 9 + "\ud83d"
        assert orjson.loads(b"".join(iter_json_chunks([text]))) == ["x" * lead + "\U0001f600" + "y" * 9 + "\ufffd"]


def test_encodes_a_frame_as_one_line() -> None:
    assert encode_line({"text": "a\nb" * 10}) == orjson.dumps({"text": "a\nb" * 10}) + b"\n"
