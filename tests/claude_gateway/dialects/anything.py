"""Strategies for whatever JSON can hold."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# Without lone surrogates, which no JSON text can hold.
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _values(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | numbers | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=6,
    )


json_values = _values(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False))
# Of numbers that the CLI carries unchanged.
json_objects = st.dictionaries(
    words, _values(st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53)), max_size=3
)
# Names that mean something to the classes behind a request are the likeliest to hurt.
names = words | st.sampled_from(["unknown", "model_extra", "model_config", "copy", "json", "__class__", "self", "root"])


@st.composite
def spoilt(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """The same with something else in one place of it."""
    changed = copy.deepcopy(value)
    way = draw(st.sampled_from(list(_ways(changed))))
    inner: Any = changed
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = draw(json_values)
    return changed


def _ways(value: Any) -> Iterator[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (step,)
        yield from ((step, *way) for way in _ways(inner))
