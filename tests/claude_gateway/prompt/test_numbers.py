"""Numbers of queries and headers, and what a client is told of one out of its range."""

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.prompt.numbers import range_text, read_number


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("0100", 100), ("100", 100)])
def test_reads_an_integer_within_its_range(text: str, value: int) -> None:
    assert read_number(text, "limit", 1, 100) == value


@pytest.mark.parametrize("text", ["0", "101", "-1", "1.0", "", " 1", "٣", "1e1", "true", "9" * 30, "9" * 5_000])
def test_refuses_any_other_text_with_the_range(text: str) -> None:
    with pytest.raises(ApiError, match="limit: Input should be between 1 and 100, not ") as raised:
        read_number(text, "limit", 1, 100)

    assert (raised.value.status, raised.value.param) == (400, "limit")
    assert len(raised.value.message) < 100


@pytest.mark.parametrize(
    ("value", "shown"), [(3, "3"), (3.0, "3"), (2.5, "2.5"), (-1, "-1"), (10**30, "1e+30"), (1e308, "1e+308")]
)
def test_names_the_value_as_it_was_sent_and_no_longer_than_can_be_read(value: float, shown: str) -> None:
    assert range_text(value, 0, 2) == f"Input should be between 0 and 2, not {shown}"
