"""Which names are models, and which of them are ours to pass on."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.catalogue import LISTED, Catalogue, unknown_model
from claude_gateway.errors import ApiError

CATALOGUE = Catalogue.of([])


def test_the_listed_models_come_first_then_what_the_cli_reports_each_once() -> None:
    reported = [{"resolvedModel": "claude-new-1"}, {"resolvedModel": LISTED[0]}, {"value": "default"}]

    assert Catalogue.of(reported).ids == (*LISTED, "claude-new-1")


@pytest.mark.promise("models.claude-passed-on")
@pytest.mark.parametrize("name", [*LISTED, "claude-of-tomorrow", "claude-sonnet-4-5@20250929", "claude-opus-5[1m]"])
def test_any_claude_name_is_passed_on_as_it_is(name: str) -> None:
    assert CATALOGUE.resolve(name) == name


def test_a_name_that_the_cli_reported_is_passed_on_whatever_it_looks_like() -> None:
    name = "eu.anthropic.claude-sonnet"

    assert Catalogue.of([{"resolvedModel": name}]).resolve(name) == name


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "", "claude", "claude-", "Claude-x", "claude-\n", "claude-a\x00", "claude-é", f"claude-{'x' * 200}"],
)
def test_any_other_name_is_a_404(name: str) -> None:
    with pytest.raises(ApiError) as raised:
        CATALOGUE.resolve(name)

    assert (raised.value.status, raised.value.code, raised.value.param) == (404, "model_not_found", "model")


def test_only_a_listed_model_can_be_looked_up() -> None:
    assert CATALOGUE.get(LISTED[0]) == LISTED[0]
    assert CATALOGUE.get("claude-opus-4-5") == LISTED[0]
    with pytest.raises(ApiError):
        CATALOGUE.get("claude-of-tomorrow")


@given(st.text().map("claude-".__add__))
def test_what_is_passed_on_fits_a_header_and_what_is_refused_is_shown_in_short_ascii(name: str) -> None:
    with suppress(ApiError):
        resolved = CATALOGUE.resolve(name)
        assert resolved.isascii()
        assert resolved.isprintable()
    shown = unknown_model(name).message
    assert shown.isascii()
    assert len(shown) < 1_200
