"""Model objects and pages of the model list, as Anthropic's clients read them."""

import pytest
from anthropic.types import ModelInfo

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.anthropic.models import model_list_object, model_object

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
def test_model_has_display_name_and_release_date_from_its_id(id_: str, name: str, date: str) -> None:
    model = model_object(id_)

    assert (model["display_name"], model["created_at"]) == (name, date)
    assert ModelInfo.model_validate(model).id == id_


@pytest.mark.parametrize(
    ("query", "expected_letters", "has_more"),
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
def test_returns_the_page_that_the_query_requests(query: dict[str, str], expected_letters: str, has_more: bool) -> None:
    page = model_list_object(IDS, query)

    assert [model["id"] for model in page["data"]] == [f"claude-{letter}" for letter in expected_letters]
    assert page["has_more"] is has_more
    assert (page["first_id"], page["last_id"]) == (
        (f"claude-{expected_letters[0]}", f"claude-{expected_letters[-1]}") if expected_letters else (None, None)
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
def test_rejects_invalid_page_parameter_with_an_error_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ApiError, match=name) as raised:
        model_list_object(IDS, {name: value})

    assert raised.value.status == 400
