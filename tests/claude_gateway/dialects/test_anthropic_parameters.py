"""Which parameter of a Messages request gives a warning."""

import pytest

from claude_gateway.dialects.anthropic.parameters import PARAMETERS, warnings
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.parameters import Treatment


def test_a_parameter_is_honoured_exactly_when_the_request_reads_it() -> None:
    honoured = {name for name, (treatment, _) in PARAMETERS.items() if treatment is Treatment.HONOURED}

    assert honoured == set(MessagesRequest.model_fields)


def test_every_parameter_that_is_not_honoured_says_why() -> None:
    assert all(reason for treatment, reason in PARAMETERS.values() if treatment is not Treatment.HONOURED)


@pytest.mark.parametrize(
    ("name", "value", "warned"),
    [
        ("metadata", {"user_id": "u"}, True),
        ("service_tier", "standard_only", True),
        ("service_tier", "auto", False),
        ("speed", "fast", True),
        ("speed", "standard", False),
        ("mcp_servers", [], False),
        ("container", None, False),
        ("diagnostics", {"previous_message_id": None}, True),
        ("cache_control", {"type": "ephemeral"}, False),
    ],
)
def test_what_asks_for_something_and_is_not_done_is_warned_of(name: str, value: object, warned: bool) -> None:
    assert bool(warnings({name: value})) is warned
