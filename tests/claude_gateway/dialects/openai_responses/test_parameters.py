"""Warnings about parameters of a Responses request, and neutral values."""

import pytest

from claude_gateway.dialects.common.parameters.support import Support
from claude_gateway.dialects.openai_responses.parameters import PARAMETERS, warnings
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest


def test_support_table_lists_exactly_the_fields_that_parsing_reads() -> None:
    fields_read = {name for name, (support, _) in PARAMETERS.items() if support is not Support.IGNORED}

    assert fields_read == set(ResponsesRequest.model_fields)


def test_every_parameter_without_full_support_has_a_reason() -> None:
    assert all(reason for support, reason in PARAMETERS.values() if support is not Support.SUPPORTED)


@pytest.mark.promise("chat.warnings")
@pytest.mark.parametrize(
    ("name", "value"),
    [("truncation", "auto"), ("top_logprobs", 5), ("service_tier", "flex"), ("prompt_cache_key", "k"), ("x", 0)],
)
def test_warns_about_unsupported_parameter(name: str, value: object) -> None:
    (warning,) = warnings({name: value})

    assert warning.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"), [("truncation", "disabled"), ("top_logprobs", 0), ("service_tier", "auto"), ("user", None)]
)
def test_neutral_parameter_gives_no_warning(name: str, value: object) -> None:
    assert warnings({name: value}) == []
