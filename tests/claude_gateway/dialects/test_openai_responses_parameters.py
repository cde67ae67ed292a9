"""Which parameter of a Responses request gives a warning, and when it asks for nothing."""

import pytest

from claude_gateway.dialects.openai_responses.parameters import PARAMETERS, warnings
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.prompt.parameters import Treatment


def test_a_parameter_is_ignored_exactly_when_the_request_does_not_read_it() -> None:
    read = {name for name, (treatment, _) in PARAMETERS.items() if treatment is not Treatment.IGNORED}

    assert read == set(ResponsesRequest.model_fields)


def test_every_parameter_that_is_not_simply_honoured_says_why() -> None:
    assert all(reason for treatment, reason in PARAMETERS.values() if treatment is not Treatment.HONOURED)


@pytest.mark.promise("chat.warnings")
@pytest.mark.parametrize(
    ("name", "value"),
    [("truncation", "auto"), ("top_logprobs", 5), ("service_tier", "flex"), ("prompt_cache_key", "k"), ("x", 0)],
)
def test_what_asks_for_something_and_is_not_done_is_warned_of(name: str, value: object) -> None:
    (line,) = warnings({name: value})

    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"), [("truncation", "disabled"), ("top_logprobs", 0), ("service_tier", "auto"), ("user", None)]
)
def test_what_asks_for_nothing_is_not_warned_of(name: str, value: object) -> None:
    assert warnings({name: value}) == []
