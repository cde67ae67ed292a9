"""What holds for the parameters of every dialect, by whatever names it has them."""

from typing import Any

import pytest

from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import Dialect, Json

# Where each dialect has a parameter; none for one that it does not have.
PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "limit": {
        "openai_chat": ("max_tokens",),
        "anthropic": ("max_tokens",),
        "openai_responses": ("max_output_tokens",),
        "gemini": ("generationConfig", "maxOutputTokens"),
    },
    "other_limit": {"openai_chat": ("max_completion_tokens",)},
}
EVERYWHERE = [(dialect, name) for name, places in PLACES.items() for dialect in DIALECTS if dialect.name in places]
every_place = pytest.mark.parametrize(("dialect", "name"), EVERYWHERE, ids=lambda one: getattr(one, "name", one))


def asking(dialect: Dialect, **parameters: Any) -> Json:
    """The smallest request with these parameters."""
    request = dialect.request()
    for name, value in parameters.items():
        inner = request
        *way, last = PLACES[name][dialect.name]
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return request


def of(*names: str) -> pytest.MarkDecorator:
    """Every dialect that has one of the parameters, with each that it has."""
    found = [(dialect, name) for dialect, name in EVERYWHERE if name in names]
    return pytest.mark.parametrize(("dialect", "name"), found, ids=lambda one: getattr(one, "name", one))


@of("limit", "other_limit")
def test_a_limit_above_the_model_s_own_is_lowered_with_a_warning_of_both_numbers(dialect: Dialect, name: str) -> None:
    parsed = dialect.parse(asking(dialect, **{name: 200_000}))

    own_name = PLACES[name][dialect.name][-1]
    assert parsed.job.tuning.max_tokens == 64_000
    assert parsed.warnings == (f"{own_name}: lowered from 200000 to 64000, the most that this model writes",)


@of("limit", "other_limit")
def test_a_limit_that_the_model_takes_is_left_alone(dialect: Dialect, name: str) -> None:
    parsed = dialect.parse(asking(dialect, **{name: 64_000}))

    assert (parsed.job.tuning.max_tokens, parsed.warnings) == (64_000, ())
