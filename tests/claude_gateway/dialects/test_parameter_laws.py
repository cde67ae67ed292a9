"""What holds for the parameters of every dialect, by whatever names it has them."""

from typing import Any

import pytest
from pydantic import ValidationError

from claude_gateway.errors import ApiError
from claude_gateway.reading.json_body import wrong_shape
from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import Dialect, Json

# Where each dialect has a parameter; none for one that it does not have.
PLACES: dict[str, dict[str, tuple[str, ...]]] = {
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
EVERYWHERE = [(dialect, name) for name, places in PLACES.items() for dialect in DIALECTS if dialect.name in places]
INTEGERS = ("limit", "other_limit", "choices", "budget")
LARGEST = 2**63 - 1


def asking(dialect: Dialect, **parameters: Any) -> Json:
    """The smallest request with these parameters."""
    request = dialect.request()
    for name, value in parameters.items():
        inner = request
        *way, last = PLACES[name][dialect.name]
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return request


def of(*names: str) -> pytest.MarkDecorator:
    """Every dialect that has one of the parameters, with each that it has."""
    found = [(dialect, name) for dialect, name in EVERYWHERE if name in names]
    return pytest.mark.parametrize(("dialect", "name"), found, ids=lambda one: getattr(one, "name", one))


@of("limit", "other_limit")
def test_a_limit_above_the_model_s_own_is_lowered_with_a_warning_of_both_numbers(dialect: Dialect, name: str) -> None:
    parsed = dialect.parse(asking(dialect, **{name: 200_000}))

    own_name = PLACES[name][dialect.name][-1]
    assert parsed.job.tuning.max_tokens == 64_000
    assert parsed.warnings == (f"{own_name}: lowered from 200000 to 64000, the most that this model writes",)


@of("limit", "other_limit")
def test_a_limit_that_the_model_takes_is_left_alone(dialect: Dialect, name: str) -> None:
    parsed = dialect.parse(asking(dialect, **{name: 64_000}))

    assert (parsed.job.tuning.max_tokens, parsed.warnings) == (64_000, ())


def refused(dialect: Dialect, name: str, value: Any) -> ApiError:
    """What the client is told of the smallest request with this value."""
    with pytest.raises(ValidationError) as raised:
        dialect.parse(asking(dialect, **{name: value}))
    return wrong_shape(raised.value)


def message(dialect: Dialect, error: ApiError) -> str:
    """The text of an error in the dialect's own envelope."""
    text: str = dialect.error(error)["error"]["message"]
    return text


@pytest.mark.promise("parameters.ranges")
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("limit", 0, f"between 1 and {LARGEST}, not 0"),
        ("limit", -2, f"between 1 and {LARGEST}, not -2"),
        ("limit", 2.0**63, f"between 1 and {LARGEST}, not 9223372036854775808"),
        ("limit", 1e30, f"between 1 and {LARGEST}, not 1e+30"),
        ("other_limit", 0, f"between 1 and {LARGEST}, not 0"),
        ("choices", 0, f"between 1 and {LARGEST}, not 0"),
        ("temperature", -1, "between 0 and {hottest}, not -1"),
        ("temperature", 3, "between 0 and {hottest}, not 3"),
        ("temperature", 2.0000001, "between 0 and {hottest}, not 2.0000001"),
        ("top_p", -0.5, "between 0 and 1, not -0.5"),
        ("top_p", 1.5, "between 0 and 1, not 1.5"),
        ("top_k", -2, "not -2"),
        ("budget", -7, "not -7"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_number_out_of_its_range_is_a_400_with_one_text(dialect: Dialect, name: str, value: Any, told: str) -> None:
    if dialect.name not in PLACES[name]:
        return

    request = asking(dialect, **({"budget": value} if name == "budget" else {name: value}))
    if name == "budget" and dialect.name != "gemini":
        (request.get("anthropic_options") or request)["thinking"]["type"] = "enabled"
    with pytest.raises(ValidationError) as raised:
        dialect.parse(request)
    error = wrong_shape(raised.value)

    place = ".".join(PLACES[name][dialect.name])
    hottest = 1 if dialect.name == "anthropic" else 2
    assert dialect.status(error) == 400
    assert dialect.is_error(dialect.error(error))
    assert (error.param, error.code) == (place, "invalid_request_error")
    assert message(dialect, error).startswith(f"{place}: Input should be between ")
    assert message(dialect, error).endswith(told.format(hottest=hottest))


@of(*INTEGERS, "top_k")
@pytest.mark.parametrize("value", ["9" * 30, "9" * 50, "many", True, [5], {"value": 5}, "1e3", 1.5], ids=str)
def test_what_is_no_integer_is_refused_by_the_name_of_its_field(dialect: Dialect, name: str, value: Any) -> None:
    if dialect.name == "gemini" and (value == "9" * 30 or name == "top_k"):
        return  # Google's programs write integers as texts, and `topK` with a fraction

    error = refused(dialect, name, value)

    assert dialect.status(error) == (422 if dialect.name.startswith("openai") else 400)
    assert PLACES[name][dialect.name][-1] in str(dialect.error(error))


@of("limit", "other_limit")
def test_a_whole_number_with_a_fraction_of_nothing_is_an_integer(dialect: Dialect, name: str) -> None:
    limit = dialect.parse(asking(dialect, **{name: 100.0})).job.tuning.max_tokens

    assert (limit, type(limit)) == (100, int)


def test_google_s_integers_come_as_texts_too() -> None:
    (gemini,) = [dialect for dialect in DIALECTS if dialect.name == "gemini"]

    assert gemini.parse(asking(gemini, limit="100", budget="-1")).job.tuning.max_tokens == 100
    assert gemini.status(refused(gemini, "limit", "9" * 30)) == 400


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
def test_a_value_for_not_set_changes_nothing(dialect: Dialect, name: str, values: tuple[Any, ...]) -> None:
    if dialect.name not in PLACES[name]:
        return
    plain = dialect.request()
    if name in ("limit", "stream"):
        plain.pop(PLACES[name][dialect.name][-1], None)

    for value in values:
        parsed = dialect.parse(asking(dialect, **{name: value}))

        assert (parsed.job, parsed.warnings) == (dialect.parse(plain).job, ())


@pytest.mark.parametrize(("name", "value"), [("top_k", False), ("seed", True), ("limit", False)])
def test_a_truth_value_is_no_number_that_stands_for_not_set(name: str, value: bool) -> None:
    (chat,) = [dialect for dialect in DIALECTS if dialect.name == "openai_chat"]
    try:
        parsed = chat.parse(asking(chat, **{name: value}))
    except ValidationError:
        return

    assert parsed.warnings == (f"{name}: Claude has no such parameter",)
