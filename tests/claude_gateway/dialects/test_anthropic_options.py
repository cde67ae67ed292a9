"""`anthropic_options` of a chat: every parameter of the Messages API is honoured, or named."""

from typing import Any

import pytest
from pydantic import ValidationError

from claude_gateway.dialects.openai_chat.parameters import ANTHROPIC_OPTIONS, treated
from claude_gateway.dialects.openai_chat.wire import AnthropicOptions
from claude_gateway.prompt.parameters import Treatment
from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import Json, Parsed

CHAT, MESSAGES, *_ = DIALECTS
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "schema": SCHEMA}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
# Without effect, though the Messages API knows them.
NAMED = [name for name, (treatment, _) in ANTHROPIC_OPTIONS.items() if treatment is Treatment.IGNORED]


def chat(options: Any, **more: Any) -> Parsed:
    return CHAT.parse({**CHAT.request(), "anthropic_options": options, **more})


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
def test_an_option_makes_the_job_that_the_messages_api_makes_of_it(model: str, options: Json) -> None:
    tuning = chat(options, model=model).job.tuning
    asked = {**MESSAGES.request(), "model": model, "max_tokens": None, **options}
    expected = MESSAGES.parse(asked).job

    assert chat(options, model=model).job.system == expected.system
    same = ("max_tokens", "temperature", "top_p", "top_k", "stop", "thinking", "effort")
    assert [getattr(tuning, name) for name in same] == [getattr(expected.tuning, name) for name in same]
    assert (tuning.output and tuning.output.fitted) == (expected.tuning.output and expected.tuning.output.fitted)


@pytest.mark.parametrize(
    "choice", [{"type": "tool", "name": "f"}, {"type": "any"}, {"type": "auto", "disable_parallel_tool_use": True}]
)
def test_an_option_chooses_among_the_tools(choice: Json) -> None:
    asked = {**MESSAGES.request(), "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": choice}

    assert chat({"tool_choice": choice}, tools=TOOLS).job.tuning.tool_choice == (
        MESSAGES.parse(asked).job.tuning.tool_choice
    )


@pytest.mark.parametrize(
    ("options", "parameters", "warning"),
    [
        ({"max_tokens": 99}, {"max_tokens": 50}, "max_tokens: left out, `anthropic_options.max_tokens` counts"),
        (
            {"max_tokens": 99},
            {"max_completion_tokens": 50},
            "max_completion_tokens: left out, `anthropic_options.max_tokens` counts",
        ),
        ({"temperature": 0.3}, {"temperature": 2}, "temperature: left out, `anthropic_options.temperature` counts"),
        ({"top_k": 5}, {"top_k": 6}, "top_k: left out, `anthropic_options.top_k` counts"),
        ({"stop_sequences": ["a"]}, {"stop": "b"}, "stop: left out, `anthropic_options.stop_sequences` counts"),
        (
            {"output_config": {"format": FORMAT}},
            {"response_format": {"type": "json_object"}},
            "response_format: left out, `anthropic_options` has a schema",
        ),
        (
            {"effort": "low"},
            {"reasoning_effort": "high", "model": "claude-opus-4-6"},
            "reasoning_effort: its effort is left out, `anthropic_options` has another",
        ),
    ],
)
def test_an_option_goes_before_the_parameter_of_the_chat_with_a_warning(
    options: Json, parameters: Json, warning: str
) -> None:
    both = chat(options, **parameters)
    alone = chat(options, **({"model": parameters["model"]} if "model" in parameters else {}))

    assert both.warnings == (warning,)
    tuning = both.job.tuning
    assert (tuning.max_tokens, tuning.temperature, tuning.top_k, tuning.stop, tuning.output, tuning.effort) == (
        alone.job.tuning.max_tokens or tuning.max_tokens,
        alone.job.tuning.temperature,
        alone.job.tuning.top_k,
        alone.job.tuning.stop,
        alone.job.tuning.output,
        "low" if "effort" in options else alone.job.tuning.effort,
    )


@pytest.mark.parametrize(
    ("options", "parameters"),
    [({"temperature": 0.3}, {"temperature": 0.3}), ({"top_k": -1}, {"top_k": 5}), ({"stop_sequences": None}, {})],
    ids=str,
)
def test_an_option_that_says_nothing_else_is_not_warned_of(options: Json, parameters: Json) -> None:
    assert chat(options, **parameters).warnings == ()


@pytest.mark.parametrize("name", [*NAMED, "an_option_of_tomorrow"])
def test_an_option_that_does_nothing_is_named_with_its_place(name: str) -> None:
    (line,) = chat({name: {"some": "value"}}).warnings

    assert line.startswith(f"anthropic_options.{name}: ")
    assert chat({name: {"some": "value"}}).job == chat({}).job


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
def test_an_option_that_asks_for_nothing_more_is_not_warned_of(options: Any) -> None:
    assert chat(options).warnings == ()
    assert chat(options).job == chat({}).job


def test_a_prompt_is_marked_for_the_cache_whether_the_client_wants_it_or_not() -> None:
    (line,) = chat({"prompt_caching": False}).warnings

    assert line.startswith("anthropic_options.prompt_caching: ")


def test_every_option_that_is_read_stands_in_the_table_and_the_other_way_round() -> None:
    read = {name for name, (treatment, _) in ANTHROPIC_OPTIONS.items() if treatment is not Treatment.IGNORED}

    # Read by nobody, and yet done.
    assert read - {"cache_control"} == set(AnthropicOptions.model_fields)


def test_the_system_prompt_of_the_options_stands_in_front_of_the_others() -> None:
    messages = [{"role": "system", "content": "third"}, {"role": "user", "content": "hi"}]

    assert chat({"system": "first"}, system="second", messages=messages).job.system == "first\n\nsecond\n\nthird"


@pytest.mark.parametrize("options", [{"top_k": "5"}, {"temperature": 1.5}, {"thinking": 5}, 5, [1]], ids=str)
def test_an_option_of_the_wrong_shape_is_refused_with_its_place(options: Any) -> None:
    with pytest.raises(ValidationError, match="anthropic_options"):
        chat(options)


def test_a_report_tells_of_each_option() -> None:
    sent = {"anthropic_options": {"top_k": 5, "metadata": {"user_id": "u"}, "odd": 1}}

    told = {one.name: one.treatment for one in treated(sent)}

    assert told == {
        "anthropic_options": Treatment.HONOURED,
        "anthropic_options.top_k": Treatment.HONOURED,
        "anthropic_options.metadata": Treatment.IGNORED,
        "anthropic_options.odd": Treatment.IGNORED,
    }
