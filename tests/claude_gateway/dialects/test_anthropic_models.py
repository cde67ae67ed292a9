"""The list of models as Anthropic's clients page through it."""

import pytest
from anthropic.types import ModelInfo

from claude_gateway.dialects.anthropic.models import model, page
from claude_gateway.errors import ApiError

IDS = [f"claude-{letter}" for letter in "abcde"]


@pytest.mark.parametrize(
    ("id_", "name", "date"),
    [
        ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
        ("claude-opus-4-20250514", "Claude Opus 4", "2025-05-14T00:00:00Z"),
        ("claude-3-5-haiku-20241022", "Claude 3.5 Haiku", "2024-10-22T00:00:00Z"),
        ("claude-opus-5-5", "Claude Opus 5.5", "1970-01-01T00:00:00Z"),
        ("claude-opus-5[1m]", "Claude Opus 5 [1m]", "1970-01-01T00:00:00Z"),
        ("eu.anthropic.claude-sonnet", "eu.anthropic.claude-sonnet", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_model_has_a_name_for_people_and_the_date_that_its_id_tells(id_: str, name: str, date: str) -> None:
    told = model(id_)

    assert (told["display_name"], told["created_at"]) == (name, date)
    assert ModelInfo.model_validate(told).id == id_


@pytest.mark.parametrize(
    ("query", "shown", "more"),
    [
        ({}, "abcde", False),
        ({"limit": "2"}, "ab", True),
        ({"limit": "2", "after_id": "claude-b"}, "cd", True),
        ({"limit": "2", "after_id": "claude-d"}, "e", False),
        ({"after_id": "claude-e"}, "", False),
        ({"limit": "2", "before_id": "claude-d"}, "bc", True),
        ({"limit": "5", "before_id": "claude-d"}, "abc", False),
    ],
)
def test_a_page_is_what_the_query_asks_for(query: dict[str, str], shown: str, more: bool) -> None:
    told = page(IDS, query)

    assert [one["id"] for one in told["data"]] == [f"claude-{letter}" for letter in shown]
    assert told["has_more"] is more
    assert (told["first_id"], told["last_id"]) == (
        (f"claude-{shown[0]}", f"claude-{shown[-1]}") if shown else (None, None)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "many"),
        ("limit", "\u0661"),
        ("after_id", "claude-z"),
        ("before_id", ""),
    ],
)
def test_what_makes_no_page_is_named(name: str, value: str) -> None:
    with pytest.raises(ApiError, match=name) as raised:
        page(IDS, {name: value})

    assert raised.value.status == 400
