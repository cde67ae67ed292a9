"""Which parameter of a request gives a warning, and when it asks for nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.dialects.openai_chat.parameters import PARAMETERS, warnings
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.prompt.parameters import Treatment
from tests.claude_gateway.dialects.anything import json_values


def test_a_parameter_is_not_ignored_exactly_when_the_request_reads_it() -> None:
    read = {name for name, (treatment, _) in PARAMETERS.items() if treatment is not Treatment.IGNORED}

    assert read == set(ChatRequest.model_fields)


def test_every_parameter_that_is_not_simply_honoured_says_how_or_why_not() -> None:
    assert all(reason for treatment, reason in PARAMETERS.values() if treatment is not Treatment.HONOURED)


@given(st.dictionaries(st.sampled_from(sorted(PARAMETERS)), json_values, max_size=4))
def test_a_warning_begins_with_its_parameter_whatever_the_value_is(sent: dict[str, object]) -> None:
    assert {line.partition(":")[0] for line in warnings(sent)} <= sent.keys()


@pytest.mark.promise("chat.warnings")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 0),
        ("service_tier", "flex"),
        ("modalities", ["text", "audio"]),
        ("a_parameter_of_tomorrow", 0),
    ],
)
def test_what_asks_for_something_and_is_not_done_is_warned_of(name: str, value: object) -> None:
    (line,) = warnings({name: value})

    assert line.startswith(f"{name}: ")


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
def test_what_is_done_or_asks_for_nothing_gives_no_warning(name: str, value: object) -> None:
    assert warnings({name: value}) == []
