"""Which parameter of a Gemini request gives a warning, and that its table is that of what is read."""

import pytest
from pydantic import BaseModel

from claude_gateway.dialects.gemini import parameters, wire
from claude_gateway.prompt.parameters import Table, Treatment

TABLES = [
    (parameters.PARAMETERS, wire.GenerateContentRequest),
    (parameters.GENERATION_CONFIG, wire.GenerationConfig),
    (parameters.THINKING_CONFIG, wire.ThinkingConfig),
    (parameters.TOOL_CONFIG, wire.ToolConfig),
    (parameters.FUNCTION_CALLING_CONFIG, wire.FunctionCallingConfig),
]


@pytest.mark.parametrize(("table", "model"), TABLES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_parameter_is_honoured_or_refused_exactly_when_the_request_reads_it(
    table: Table, model: type[BaseModel]
) -> None:
    read = {name for name, (treatment, _) in table.items() if treatment is not Treatment.IGNORED}

    assert read == {field.alias for field in model.model_fields.values()}


@pytest.mark.parametrize("table", [table for table, _ in TABLES])
def test_every_parameter_that_is_not_honoured_says_why(table: Table) -> None:
    assert all(reason for treatment, reason in table.values() if treatment is not Treatment.HONOURED)


@pytest.mark.parametrize("name", ["safetySettings", "safety_settings"])
@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}, {"threshold": "off"}], False),
        ([{"category": "HARM_CATEGORY_HARASSMENT"}], False),
        ([{"threshold": "BLOCK_NONE"}, {"threshold": "BLOCK_ONLY_HIGH"}], True),
        ("BLOCK", True),
        (None, False),
        ([], False),
    ],
)
def test_safety_settings_ask_for_something_only_where_they_block(name: str, settings: object, asks: bool) -> None:
    assert len(parameters.warnings({name: settings})) == asks


@pytest.mark.parametrize(
    ("name", "value"), [("candidate_count", 1), ("presencePenalty", 0.0), ("response_mime_type", "text/plain")]
)
def test_a_value_that_asks_for_nothing_gives_no_warning_in_either_spelling(name: str, value: object) -> None:
    assert parameters.below("", parameters.GENERATION_CONFIG, {name: value}) == []


def test_a_parameter_below_is_named_with_its_place() -> None:
    lines = parameters.below("generationConfig.", parameters.GENERATION_CONFIG, {"response_logprobs": True, "x": 1})

    assert lines == [
        "generationConfig.responseLogprobs: Claude returns no log probabilities",
        "generationConfig.x: unknown parameter",
    ]
