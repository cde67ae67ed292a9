"""Properties of parameters that hold in every dialect, under the names of the dialect."""

from typing import Any

import pytest
from pydantic import ValidationError

from claude_gateway.core.errors import ApiError
from claude_gateway.request_reading.json_body import request_validation_error
from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS, get_dialect
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter, Json

# Field path of each parameter in each dialect that has it.
FIELD_PATHS: dict[str, dict[str, tuple[str, ...]]] = {
    "limit": {
        "openai_chat": ("max_tokens",),
        "anthropic": ("max_tokens",),
        "openai_responses": ("max_output_tokens",),
        "gemini": ("generationConfig", "maxOutputTokens"),
    },
    "other_limit": {"openai_chat": ("max_completion_tokens",)},
    "temperature": {
        "openai_chat": ("temperature",),
        "anthropic": ("temperature",),
        "openai_responses": ("temperature",),
        "gemini": ("generationConfig", "temperature"),
    },
    "top_p": {
        "openai_chat": ("top_p",),
        "anthropic": ("top_p",),
        "openai_responses": ("top_p",),
        "gemini": ("generationConfig", "topP"),
    },
    "top_k": {"openai_chat": ("top_k",), "anthropic": ("top_k",), "gemini": ("generationConfig", "topK")},
    "choices": {"openai_chat": ("n",)},
    "budget": {
        "openai_chat": ("anthropic_options", "thinking", "budget_tokens"),
        "anthropic": ("thinking", "budget_tokens"),
        "gemini": ("generationConfig", "thinkingConfig", "thinkingBudget"),
    },
    "effort": {
        "openai_chat": ("reasoning_effort",),
        "openai_responses": ("reasoning_effort",),
        "gemini": ("generationConfig", "thinkingConfig", "thinkingLevel"),
    },
    "stop": {
        "openai_chat": ("stop",),
        "anthropic": ("stop_sequences",),
        "gemini": ("generationConfig", "stopSequences"),
    },
    "tools": dict.fromkeys(("openai_chat", "anthropic", "openai_responses", "gemini"), ("tools",)),
    "choice": {
        "openai_chat": ("tool_choice",),
        "anthropic": ("tool_choice",),
        "openai_responses": ("tool_choice",),
        "gemini": ("toolConfig", "functionCallingConfig", "mode"),
    },
    "stream": dict.fromkeys(("openai_chat", "anthropic", "openai_responses"), ("stream",)),
    "seed": {"openai_chat": ("seed",), "gemini": ("generationConfig", "seed")},
    "penalty": {"openai_chat": ("frequency_penalty",), "gemini": ("generationConfig", "frequencyPenalty")},
    "format": {"openai_chat": ("response_format",), "gemini": ("generationConfig", "responseMimeType")},
}
ALL_PARAMETERS = [
    (dialect, name) for name, paths in FIELD_PATHS.items() for dialect in DIALECTS if dialect.name in paths
]
INTEGERS = ("limit", "other_limit", "choices", "budget")
MAX_INTEGER = 2**63 - 1


def build_request(dialect: DialectAdapter, **parameters: Any) -> Json:
    """Return the smallest request with these parameters."""
    request = dialect.minimal_request()
    for name, value in parameters.items():
        inner = request
        *parents, field = FIELD_PATHS[name][dialect.name]
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[field] = value
    return request


def for_parameters(*names: str) -> pytest.MarkDecorator:
    """Parametrize a test with each of these parameters, in every dialect that has it."""
    params = [(dialect, name) for dialect, name in ALL_PARAMETERS if name in names]
    return pytest.mark.parametrize(("dialect", "name"), params, ids=lambda param: getattr(param, "name", param))


@for_parameters("limit", "other_limit")
def test_lowers_token_limit_above_model_maximum_with_a_warning(dialect: DialectAdapter, name: str) -> None:
    parsed = dialect.parse(build_request(dialect, **{name: 200_000}))

    field = FIELD_PATHS[name][dialect.name][-1]
    assert parsed.job.params.max_tokens == 64_000
    assert parsed.warnings == (f"{field}: changed from 200000 to 64000 (the maximum of this model)",)


@for_parameters("limit", "other_limit")
def test_keeps_token_limit_within_model_maximum(dialect: DialectAdapter, name: str) -> None:
    parsed = dialect.parse(build_request(dialect, **{name: 64_000}))

    assert (parsed.job.params.max_tokens, parsed.warnings) == (64_000, ())


def get_rejection(dialect: DialectAdapter, name: str, value: Any) -> ApiError:
    """Return the error for the smallest request with this value."""
    with pytest.raises(ValidationError) as raised:
        dialect.parse(build_request(dialect, **{name: value}))
    return request_validation_error(raised.value)


def get_message(dialect: DialectAdapter, error: ApiError) -> str:
    """Return the text of an error in the error format of the dialect."""
    text: str = dialect.error_object(error)["error"]["message"]
    return text


@pytest.mark.promise("parameters.ranges")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("limit", 0, f"between 1 and {MAX_INTEGER}, not 0"),
        ("limit", -2, f"between 1 and {MAX_INTEGER}, not -2"),
        ("limit", 2.0**63, f"between 1 and {MAX_INTEGER}, not 9223372036854775808"),
        ("limit", 1e30, f"between 1 and {MAX_INTEGER}, not 1e+30"),
        ("other_limit", 0, f"between 1 and {MAX_INTEGER}, not 0"),
        ("choices", 0, f"between 1 and {MAX_INTEGER}, not 0"),
        ("temperature", -1, "between 0 and {maximum}, not -1"),
        ("temperature", 3, "between 0 and {maximum}, not 3"),
        ("temperature", 2.0000001, "between 0 and {maximum}, not 2.0000001"),
        ("top_p", -0.5, "between 0 and 1, not -0.5"),
        ("top_p", 1.5, "between 0 and 1, not 1.5"),
        ("top_k", -2, "not -2"),
        ("budget", -7, "not -7"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_rejects_number_out_of_range_with_400_and_the_same_text(
    dialect: DialectAdapter, name: str, value: Any, expected: str
) -> None:
    if dialect.name not in FIELD_PATHS[name]:
        return

    request = build_request(dialect, **({"budget": value} if name == "budget" else {name: value}))
    if name == "budget" and dialect.name != "gemini":
        (request.get("anthropic_options") or request)["thinking"]["type"] = "enabled"
    with pytest.raises(ValidationError) as raised:
        dialect.parse(request)
    error = request_validation_error(raised.value)

    field_path = ".".join(FIELD_PATHS[name][dialect.name])
    maximum = 1 if dialect.name == "anthropic" else 2
    assert dialect.status(error) == 400
    assert dialect.is_valid_error(dialect.error_object(error))
    assert (error.param, error.code) == (field_path, "invalid_request_error")
    assert get_message(dialect, error).startswith(f"{field_path}: Input should be between ")
    assert get_message(dialect, error).endswith(expected.format(maximum=maximum))


@for_parameters(*INTEGERS, "top_k")
@pytest.mark.parametrize("value", ["9" * 30, "9" * 50, "many", True, [5], {"value": 5}, "1e3", 1.5], ids=str)
def test_rejects_non_integer_with_an_error_that_names_the_field(dialect: DialectAdapter, name: str, value: Any) -> None:
    if dialect.name == "gemini" and (value == "9" * 30 or name == "top_k"):
        return  # Google's clients send integers as strings, and `topK` with a fraction

    error = get_rejection(dialect, name, value)

    assert dialect.status(error) == (422 if dialect.name.startswith("openai") else 400)
    assert FIELD_PATHS[name][dialect.name][-1] in str(dialect.error_object(error))


@for_parameters("limit", "other_limit")
def test_accepts_whole_float_as_integer(dialect: DialectAdapter, name: str) -> None:
    limit = dialect.parse(build_request(dialect, **{name: 100.0})).job.params.max_tokens

    assert (limit, type(limit)) == (100, int)


def test_accepts_gemini_integers_as_strings() -> None:
    gemini = get_dialect("gemini")

    assert gemini.parse(build_request(gemini, limit="100", budget="-1")).job.params.max_tokens == 100
    assert gemini.status(get_rejection(gemini, "limit", "9" * 30)) == 400


@pytest.mark.promise("parameters.not-set")
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("limit", (None, -1, -1.0, "", "NOT_GIVEN")),
        ("other_limit", (None, -1, "")),
        ("temperature", (None, "", "NOT_GIVEN")),
        ("top_p", (None, -1, "", "NOT_GIVEN")),
        ("top_k", (None, -1, 0, 0.0, "", "NOT_GIVEN")),
        ("choices", (None, "", "NOT_GIVEN")),
        ("effort", (None, "", "NOT_GIVEN")),
        ("stop", (None, "", [], "NOT_GIVEN")),
        ("tools", (None, "", "NOT_GIVEN")),
        ("choice", (None, "", "NOT_GIVEN")),
        ("stream", (None, "")),
        ("seed", (None, -1, "")),
        ("penalty", (None, 0, 0.0, "")),
        ("format", (None, "", "NOT_GIVEN")),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_unset_value_changes_nothing(dialect: DialectAdapter, name: str, values: tuple[Any, ...]) -> None:
    if dialect.name not in FIELD_PATHS[name]:
        return
    plain = dialect.minimal_request()
    if name in ("limit", "stream"):
        plain.pop(FIELD_PATHS[name][dialect.name][-1], None)

    for value in values:
        parsed = dialect.parse(build_request(dialect, **{name: value}))

        assert (parsed.job, parsed.warnings) == (dialect.parse(plain).job, ())


@pytest.mark.parametrize(("name", "value"), [("top_k", False), ("seed", True), ("limit", False)])
def test_boolean_is_not_an_unset_value_of_a_number(name: str, value: bool) -> None:
    chat = get_dialect("openai_chat")
    try:
        parsed = chat.parse(build_request(chat, **{name: value}))
    except ValidationError:
        return

    assert parsed.warnings == (f"{name}: ignored (Claude has no such parameter)",)
