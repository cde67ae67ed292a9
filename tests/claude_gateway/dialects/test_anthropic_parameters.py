"""Which parameter of a Messages request gives a warning, and what becomes of a schema in it."""

from typing import Any

import pytest

from claude_gateway.dialects.anthropic.parameters import PARAMETERS, warnings
from claude_gateway.dialects.anthropic.parse import ParsedMessages, parse
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.prompt.parameters import Treatment
from tests.claude_gateway.scripted import MODEL

PLAIN: dict[str, Any] = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "schema": SCHEMA}


def parsed(**more: Any) -> ParsedMessages:
    return parse(MessagesRequest.model_validate({**PLAIN, **more}), "owner", MODEL)


def test_a_parameter_is_not_ignored_exactly_when_the_request_reads_it() -> None:
    read = {name for name, (treatment, _) in PARAMETERS.items() if treatment is not Treatment.IGNORED}

    # Read by nobody, and yet done.
    assert read - {"cache_control"} == set(MessagesRequest.model_fields)


def test_every_parameter_that_is_not_simply_honoured_says_how_or_why_not() -> None:
    assert all(reason for treatment, reason in PARAMETERS.values() if treatment is not Treatment.HONOURED)


@pytest.mark.promise("chat.warnings")
@pytest.mark.parametrize(
    ("name", "value"),
    [("service_tier", "batch"), ("context_management", {"edits": [{}]}), ("a_parameter_of_tomorrow", 0)],
)
def test_what_asks_for_something_and_is_not_done_is_warned_of_and_changes_no_job(name: str, value: object) -> None:
    request = parsed(**{name: value})

    (line,) = request.warnings
    assert line.startswith(f"{name}: ")
    assert request.job == parsed().job


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
def test_only_what_asks_for_something_is_warned_of(name: str, value: object, warned: bool) -> None:
    assert bool(warnings({name: value})) is warned


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({"output_config": {"format": FORMAT}}, "output_config.format.schema"),
        ({"output_format": FORMAT}, "output_format.schema"),
        (
            {"output_config": {"effort": "low", "format": FORMAT}, "output_format": FORMAT},
            "output_config.format.schema",
        ),
    ],
)
def test_a_schema_becomes_part_of_the_job(sent: dict[str, Any], place: str) -> None:
    output = parsed(**sent).job.tuning.output

    assert output is not None
    assert (output.schema, output.place) == (SCHEMA, place)
    assert output.fitted == {**SCHEMA, "additionalProperties": False}


@pytest.mark.parametrize("sent", [{}, {"output_config": {"effort": "low"}}, {"output_config": {"format": None}}])
def test_without_a_schema_the_job_has_none(sent: dict[str, Any]) -> None:
    assert parsed(**sent).job.tuning.output is None


def test_what_of_a_schema_is_not_checked_is_named() -> None:
    looks_around = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=x)"}}}
    request = parsed(output_config={"format": {"type": "json_schema", "schema": looks_around}})

    (line,) = request.warnings
    assert line.startswith("output_config.format.schema: ")
    assert request.job.tuning.output is not None
