"""Warnings about parameters of a Gemini request; the support tables match the schemas."""

import pytest
from pydantic import BaseModel

from claude_gateway.dialects.common.parameters.support import Support, SupportTable
from claude_gateway.dialects.gemini import parameters, schema

TABLES = [
    (parameters.PARAMETERS, schema.GenerateContentRequest),
    (parameters.GENERATION_CONFIG, schema.GenerationConfig),
    (parameters.THINKING_CONFIG, schema.ThinkingConfig),
    (parameters.TOOL_CONFIG, schema.ToolConfig),
    (parameters.FUNCTION_CALLING_CONFIG, schema.FunctionCallingConfig),
]


@pytest.mark.parametrize(("table", "model"), TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_support_table_lists_exactly_the_fields_of_the_schema(table: SupportTable, model: type[BaseModel]) -> None:
    fields_read = {name for name, (support, _) in table.items() if support is not Support.IGNORED}

    assert fields_read == {field.alias for field in model.model_fields.values()}


@pytest.mark.parametrize("table", [table for table, _ in TABLES])
def test_every_parameter_without_full_support_has_a_reason(table: SupportTable) -> None:
    assert all(reason for support, reason in table.values() if support is not Support.SUPPORTED)


@pytest.mark.parametrize("name", ["safetySettings", "safety_settings"])
@pytest.mark.parametrize(
    ("settings", "has_warning"),
    [
        ([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}, {"threshold": "off"}], False),
        ([{"category": "HARM_CATEGORY_HARASSMENT"}], False),
        ([{"threshold": "BLOCK_NONE"}, {"threshold": "BLOCK_ONLY_HIGH"}], True),
        ("BLOCK", True),
        (None, False),
        ([], False),
    ],
)
def test_safety_settings_are_neutral_unless_they_block(name: str, settings: object, has_warning: bool) -> None:
    assert len(parameters.warnings({name: settings})) == has_warning


@pytest.mark.parametrize(
    ("name", "value"), [("candidate_count", 1), ("presencePenalty", 0.0), ("response_mime_type", "text/plain")]
)
def test_neutral_value_gives_no_warning_in_either_spelling(name: str, value: object) -> None:
    assert parameters.find_nested_warnings("", parameters.GENERATION_CONFIG, {name: value}) == []


def test_warns_about_nested_parameter_with_its_field_path() -> None:
    warnings = parameters.find_nested_warnings(
        "generationConfig.", parameters.GENERATION_CONFIG, {"response_logprobs": True, "x": 1}
    )

    assert warnings == [
        "generationConfig.responseLogprobs: ignored (Claude returns no log probabilities)",
        "generationConfig.x: ignored (unknown parameter)",
    ]
