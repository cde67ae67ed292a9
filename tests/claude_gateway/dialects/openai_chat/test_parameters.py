"""Warnings about parameters of a chat request, and neutral values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.dialects.common.parameters.support import Support
from claude_gateway.dialects.openai_chat.parameters import PARAMETERS, warnings
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from tests.claude_gateway.dialects.strategies.json_values import json_values


def test_support_table_lists_exactly_the_fields_that_parsing_reads() -> None:
    fields_read = {name for name, (support, _) in PARAMETERS.items() if support is not Support.IGNORED}

    assert fields_read == set(ChatRequest.model_fields)


def test_every_parameter_without_full_support_has_a_reason() -> None:
    assert all(reason for support, reason in PARAMETERS.values() if support is not Support.SUPPORTED)


@given(st.dictionaries(st.sampled_from(sorted(PARAMETERS)), json_values, max_size=4))
def test_warning_begins_with_its_parameter(fields: dict[str, object]) -> None:
    assert {warning.partition(":")[0] for warning in warnings(fields)} <= fields.keys()


@pytest.mark.promise("chat.warnings")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 0),
        ("service_tier", "flex"),
        ("modalities", ["text", "audio"]),
        ("unknown_parameter", 0),
    ],
)
def test_warns_about_unsupported_parameter(name: str, value: object) -> None:
    (warning,) = warnings({name: value})

    assert warning.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 3),
        ("presence_penalty", 0),
        ("frequency_penalty", 0.0),
        ("logit_bias", {}),
        ("logprobs", False),
        ("service_tier", "auto"),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text"]),
        ("store", False),
    ],
)
def test_supported_or_neutral_parameter_gives_no_warning(name: str, value: object) -> None:
    assert warnings({name: value}) == []
