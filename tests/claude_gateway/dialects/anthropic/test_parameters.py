"""Warnings about parameters of a Messages request, and its output schema."""

from typing import Any

import pytest

from claude_gateway.dialects.anthropic.parameters import PARAMETERS, warnings
from claude_gateway.dialects.anthropic.parse import ParsedMessagesRequest, parse
from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.dialects.common.parameters.support import Support
from tests.claude_gateway.scripted import MODEL

MINIMAL_REQUEST: dict[str, Any] = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "schema": SCHEMA}


def parse_request(**fields: Any) -> ParsedMessagesRequest:
    return parse(MessagesRequest.model_validate({**MINIMAL_REQUEST, **fields}), "key_1", MODEL)


def test_support_table_lists_as_ignored_exactly_the_fields_that_parsing_ignores() -> None:
    fields_read = {name for name, (support, _) in PARAMETERS.items() if support is not Support.IGNORED}

    # The gateway does not read `cache_control`: Claude Code sets cache breakpoints itself.
    assert fields_read - {"cache_control"} == set(MessagesRequest.model_fields)


def test_every_parameter_without_full_support_has_a_reason() -> None:
    assert all(reason for support, reason in PARAMETERS.values() if support is not Support.SUPPORTED)


@pytest.mark.promise("chat.warnings")
@pytest.mark.parametrize(
    ("name", "value"),
    [("service_tier", "batch"), ("context_management", {"edits": [{}]}), ("future_parameter", 0)],
)
def test_unsupported_parameter_gives_a_warning_and_does_not_change_the_job(name: str, value: object) -> None:
    request = parse_request(**{name: value})

    (warning,) = request.warnings
    assert warning.startswith(f"{name}: ")
    assert request.job == parse_request().job


@pytest.mark.parametrize(
    ("name", "value", "has_warning"),
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
def test_only_a_parameter_value_that_requests_something_gives_a_warning(
    name: str, value: object, has_warning: bool
) -> None:
    assert bool(warnings({name: value})) is has_warning


@pytest.mark.parametrize(
    ("fields", "field_path"),
    [
        ({"output_config": {"format": FORMAT}}, "output_config.format.schema"),
        ({"output_format": FORMAT}, "output_format.schema"),
        (
            {"output_config": {"effort": "low", "format": FORMAT}, "output_format": FORMAT},
            "output_config.format.schema",
        ),
    ],
)
def test_output_schema_becomes_part_of_the_job(fields: dict[str, Any], field_path: str) -> None:
    output = parse_request(**fields).job.params.output_schema

    assert output is not None
    assert (output.schema, output.field_path) == (SCHEMA, field_path)
    assert output.native_schema == {**SCHEMA, "additionalProperties": False}


@pytest.mark.parametrize("fields", [{}, {"output_config": {"effort": "low"}}, {"output_config": {"format": None}}])
def test_job_has_no_output_schema_without_a_format(fields: dict[str, Any]) -> None:
    assert parse_request(**fields).job.params.output_schema is None


def test_warns_about_schema_keywords_that_are_not_enforced() -> None:
    lookaround_schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=x)"}}}
    request = parse_request(output_config={"format": {"type": "json_schema", "schema": lookaround_schema}})

    (warning,) = request.warnings
    assert warning.startswith("output_config.format.schema: ")
    assert request.job.params.output_schema is not None
