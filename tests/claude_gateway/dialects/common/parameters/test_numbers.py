"""Numbers in queries and headers, and the errors for values out of range."""

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.parameters.numbers import format_range_error, parse_integer


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("0100", 100), ("100", 100)])
def test_parses_integer_within_its_range(text: str, value: int) -> None:
    assert parse_integer(text, "limit", 1, 100) == value


@pytest.mark.parametrize("text", ["0", "101", "-1", "1.0", "", " 1", "٣", "1e1", "true", "9" * 30, "9" * 5_000])
def test_rejects_other_text_with_an_error_that_names_the_range(text: str) -> None:
    with pytest.raises(ApiError, match="limit: Input should be between 1 and 100, not ") as raised:
        parse_integer(text, "limit", 1, 100)

    assert (raised.value.status, raised.value.param) == (400, "limit")
    assert len(raised.value.message) < 100


@pytest.mark.parametrize(
    ("value", "quoted"), [(3, "3"), (3.0, "3"), (2.5, "2.5"), (-1, "-1"), (10**30, "1e+30"), (1e308, "1e+308")]
)
def test_error_quotes_a_shortened_value(value: float, quoted: str) -> None:
    assert format_range_error(value, 0, 2) == f"Input should be between 0 and 2, not {quoted}"
