"""Strategies for arbitrary JSON."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# Without lone surrogates, which JSON text cannot represent.
unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _values(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | numbers | unicode_text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(unicode_text, inner, max_size=3),
        max_leaves=6,
    )


json_values = _values(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False))
# Only numbers that the CLI passes on unchanged.
json_objects = st.dictionaries(
    unicode_text, _values(st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53)), max_size=3
)
# Names of attributes of pydantic models are the most likely to cause errors.
names = unicode_text | st.sampled_from(
    ["unknown", "model_extra", "model_config", "copy", "json", "__class__", "self", "root"]
)


@st.composite
def mutated(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """Draw the value with one field or item replaced by another value."""
    changed = copy.deepcopy(value)
    path = draw(st.sampled_from(list(_paths(changed))))
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = draw(json_values)
    return changed


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (step,)
        yield from ((step, *path) for path in _paths(inner))
