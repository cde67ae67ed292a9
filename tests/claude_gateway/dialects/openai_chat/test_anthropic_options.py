"""Effect of `anthropic_options`: every parameter of the Messages API is supported, or causes a warning."""

from typing import Any

import pytest
from pydantic import ValidationError

from claude_gateway.dialects.common.parameters.support import Support
from claude_gateway.dialects.openai_chat.parameters import ANTHROPIC_OPTIONS, classify
from claude_gateway.dialects.openai_chat.schema import AnthropicOptions
from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS
from tests.claude_gateway.dialects.adapters.dialect_adapter import Json, ParsedRequest

CHAT, MESSAGES, *_ = DIALECTS
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "schema": SCHEMA}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
# Parameters of the Messages API that have no effect in a chat.
IGNORED_OPTIONS = [name for name, (support, _) in ANTHROPIC_OPTIONS.items() if support is Support.IGNORED]


def parse_chat(options: Any, **parameters: Any) -> ParsedRequest:
    return CHAT.parse({**CHAT.minimal_request(), "anthropic_options": options, **parameters})


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 99},
        {"temperature": 0.3},
        {"top_p": 0.5},
        {"top_k": 5},
        {"stop_sequences": ["END", " "]},
        {"thinking": {"type": "enabled", "budget_tokens": 2_000, "display": "omitted"}},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {"output_config": {"effort": "low"}},
        {"output_config": {"format": FORMAT}},
        {"output_format": FORMAT},
        {"system": "be brief"},
        {"system": [{"type": "text", "text": "be brief"}]},
    ],
    ids=str,
)
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-5", "claude-opus-4-6", "claude-opus-5"])
def test_option_makes_the_same_job_as_the_messages_api(model: str, options: Json) -> None:
    params = parse_chat(options, model=model).job.params
    messages_request = {**MESSAGES.minimal_request(), "model": model, "max_tokens": None, **options}
    expected = MESSAGES.parse(messages_request).job

    assert parse_chat(options, model=model).job.system == expected.system
    shared_names = ("max_tokens", "temperature", "top_p", "top_k", "stop", "thinking", "effort")
    assert [getattr(params, name) for name in shared_names] == [getattr(expected.params, name) for name in shared_names]
    assert (params.output_schema and params.output_schema.native_schema) == (
        expected.params.output_schema and expected.params.output_schema.native_schema
    )


@pytest.mark.parametrize(
    "choice", [{"type": "tool", "name": "f"}, {"type": "any"}, {"type": "auto", "disable_parallel_tool_use": True}]
)
def test_option_selects_among_the_tools(choice: Json) -> None:
    messages_request = {
        **MESSAGES.minimal_request(),
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": choice,
    }

    assert parse_chat({"tool_choice": choice}, tools=TOOLS).job.params.tool_choice == (
        MESSAGES.parse(messages_request).job.params.tool_choice
    )


@pytest.mark.parametrize(
    ("options", "parameters", "warning"),
    [
        (
            {"max_tokens": 99},
            {"max_tokens": 50},
            "max_tokens: ignored (`anthropic_options.max_tokens` takes precedence)",
        ),
        (
            {"max_tokens": 99},
            {"max_completion_tokens": 50},
            "max_completion_tokens: ignored (`anthropic_options.max_tokens` takes precedence)",
        ),
        (
            {"temperature": 0.3},
            {"temperature": 2},
            "temperature: ignored (`anthropic_options.temperature` takes precedence)",
        ),
        ({"top_k": 5}, {"top_k": 6}, "top_k: ignored (`anthropic_options.top_k` takes precedence)"),
        (
            {"stop_sequences": ["a"]},
            {"stop": "b"},
            "stop: ignored (`anthropic_options.stop_sequences` takes precedence)",
        ),
        (
            {"output_config": {"format": FORMAT}},
            {"response_format": {"type": "json_object"}},
            "response_format: ignored (`anthropic_options` has a schema)",
        ),
        (
            {"effort": "low"},
            {"reasoning_effort": "high", "model": "claude-opus-4-6"},
            "reasoning_effort: ignored its effort (`anthropic_options` takes precedence)",
        ),
    ],
)
def test_option_takes_precedence_over_chat_parameter_with_a_warning(
    options: Json, parameters: Json, warning: str
) -> None:
    both = parse_chat(options, **parameters)
    alone = parse_chat(options, **({"model": parameters["model"]} if "model" in parameters else {}))

    assert both.warnings == (warning,)
    params = both.job.params
    assert (params.max_tokens, params.temperature, params.top_k, params.stop, params.output_schema, params.effort) == (
        alone.job.params.max_tokens or params.max_tokens,
        alone.job.params.temperature,
        alone.job.params.top_k,
        alone.job.params.stop,
        alone.job.params.output_schema,
        "low" if "effort" in options else alone.job.params.effort,
    )


@pytest.mark.parametrize(
    ("options", "parameters"),
    [({"temperature": 0.3}, {"temperature": 0.3}), ({"top_k": -1}, {"top_k": 5}), ({"stop_sequences": None}, {})],
    ids=str,
)
def test_equivalent_option_gives_no_warning(options: Json, parameters: Json) -> None:
    assert parse_chat(options, **parameters).warnings == ()


@pytest.mark.parametrize("name", [*IGNORED_OPTIONS, "unknown_option"])
def test_warns_about_ignored_option_with_its_field_path(name: str) -> None:
    (warning,) = parse_chat({name: {"some": "value"}}).warnings

    assert warning.startswith(f"anthropic_options.{name}: ")
    assert parse_chat({name: {"some": "value"}}).job == parse_chat({}).job


@pytest.mark.parametrize(
    "options",
    [
        {},
        None,
        "",
        {"prompt_caching": True},
        {"cache_control": {"type": "ephemeral"}},
        {"metadata": None},
        {"service_tier": "auto"},
        {"thinking": None, "system": "", "effort": ""},
    ],
    ids=str,
)
def test_neutral_option_gives_no_warning(options: Any) -> None:
    assert parse_chat(options).warnings == ()
    assert parse_chat(options).job == parse_chat({}).job


def test_warns_that_prompt_caching_cannot_be_switched_off() -> None:
    (warning,) = parse_chat({"prompt_caching": False}).warnings

    assert warning.startswith("anthropic_options.prompt_caching: ")


def test_support_table_lists_exactly_the_options_that_parsing_reads() -> None:
    options_read = {name for name, (support, _) in ANTHROPIC_OPTIONS.items() if support is not Support.IGNORED}

    # Parsing does not read this option, because Claude Code sets cache breakpoints itself.
    assert options_read - {"cache_control"} == set(AnthropicOptions.model_fields)


def test_system_prompt_of_the_options_comes_first() -> None:
    messages = [{"role": "system", "content": "third"}, {"role": "user", "content": "hi"}]

    assert parse_chat({"system": "first"}, system="second", messages=messages).job.system == "first\n\nsecond\n\nthird"


@pytest.mark.parametrize("options", [{"top_k": "5"}, {"temperature": 1.5}, {"thinking": 5}, 5, [1]], ids=str)
def test_rejects_option_of_wrong_type_with_its_field_path(options: Any) -> None:
    with pytest.raises(ValidationError, match="anthropic_options"):
        parse_chat(options)


def test_compatibility_report_lists_each_option() -> None:
    body = {"anthropic_options": {"top_k": 5, "metadata": {"user_id": "u"}, "odd": 1}}

    support_by_name = {parameter.name: parameter.support for parameter in classify(body)}

    assert support_by_name == {
        "anthropic_options": Support.SUPPORTED,
        "anthropic_options.top_k": Support.SUPPORTED,
        "anthropic_options.metadata": Support.IGNORED,
        "anthropic_options.odd": Support.IGNORED,
    }
