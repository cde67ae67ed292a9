"""Schemas that the real API rejects, each beside a similar one that it accepts."""

from typing import Any

import pytest

from claude_gateway.devtools.fake_anthropic.validation import first_problem

MODEL = "claude-sonnet-4-5-20250929"
TEXT = {"type": "string"}
Schema = dict[str, Any]


def create_request(schema: Any, **more: Any) -> dict[str, Any]:
    format_ = {"type": "json_schema", "schema": schema}
    messages = [{"role": "user", "content": "hi"}]
    return {"model": MODEL, "max_tokens": 9, "messages": messages, "output_config": {"format": format_}, **more}


def with_property(schema: Any, **more: Any) -> Schema:
    properties = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return {**properties, **more}


def with_properties(count: int, schema: Any, *, required: bool) -> Schema:
    names = [str(number) for number in range(count)]
    return with_property(TEXT, properties=dict.fromkeys(names, schema), required=names if required else [])


# The rejected schema, a similar valid one, and a part of the error message.
PAIRS: dict[str, tuple[Any, Any, str]] = {
    "no schema": (None, with_property(TEXT), "Field required"),
    "an open object": (with_property(TEXT, additionalProperties=True), with_property(TEXT), "explicitly set to false"),
    "an open object within": (
        with_property({"type": "object"}),
        with_property(with_property(TEXT)),
        "explicitly set to false",
    ),
    "an object open by omission": (
        {"type": "object", "properties": {}},
        with_property(TEXT),
        "explicitly set to false",
    ),
    "no type": (with_property({}), with_property(TEXT), "type is missing"),
    "a schema that is true": (with_property(True), with_property(TEXT), "not an object"),
    "oneOf": (with_property({"oneOf": [TEXT]}), with_property({"anyOf": [TEXT]}), "'oneOf' is not supported"),
    "minimum": (
        with_property({"type": "integer", "minimum": 1}),
        with_property({"type": "integer"}),
        "'minimum' is not supported",
    ),
    "maxLength": (
        with_property({**TEXT, "maxLength": 3}),
        with_property({**TEXT, "format": "date"}),
        "'maxLength' is not supported",
    ),
    "maxItems": (
        with_property({"type": "array", "items": TEXT, "maxItems": 3}),
        with_property({"type": "array", "items": TEXT}),
        "'maxItems' is not supported",
    ),
    "at least two items": (
        with_property({"type": "array", "items": TEXT, "minItems": 2}),
        with_property({"type": "array", "items": TEXT, "minItems": 1}),
        "'minItems' values other than 0 or 1",
    ),
    "an array of anything": (
        with_property({"type": "array"}),
        with_property({"type": "array", "items": TEXT}),
        "'items' is missing",
    ),
    "a format of its own": (
        with_property({**TEXT, "format": "color"}),
        with_property({**TEXT, "format": "uuid"}),
        "format",
    ),
    "a pattern that looks ahead": (
        with_property({**TEXT, "pattern": "(?=a)"}),
        with_property({**TEXT, "pattern": "^a+$"}),
        "pattern",
    ),
    "an object among values": (with_property({"enum": [{}]}), with_property({"enum": [None, 1, "a"]}), "Complex types"),
    "values beside types": (
        with_property({"type": ["string", "null"], "enum": ["a", None]}),
        with_property({"type": "string", "enum": ["a"]}),
        "does not match declared type",
    ),
    "a required property that does not exist": (
        with_property(TEXT, required=["b"]),
        with_property(TEXT),
        "names a missing property",
    ),
    "a reference to nothing": (
        with_property({"$ref": "#/$defs/T"}),
        with_property({"$ref": "#/$defs/T"}, **{"$defs": {"T": TEXT}}),
        "Unresolvable",
    ),
    "a reference with company": (
        with_property({"$ref": "#/$defs/T", "description": "D"}, **{"$defs": {"T": TEXT}}),
        with_property({"$ref": "#/$defs/T"}, **{"$defs": {"T": {**TEXT, "description": "D"}}}),
        "stand alone",
    ),
    "a definition of itself": (
        with_property({"$ref": "#/$defs/T"}, **{"$defs": {"T": with_property({"$ref": "#/$defs/T"})}}),
        with_property({"$ref": "#/$defs/T"}, **{"$defs": {"T": with_property(TEXT)}}),
        "Circular",
    ),
    "a definition of itself in two steps": (
        with_property(
            {"$ref": "#/$defs/T"},
            **{"$defs": {"T": with_property({"$ref": "#/$defs/U"}), "U": with_property({"$ref": "#/$defs/T"})}},
        ),
        with_property(
            {"$ref": "#/$defs/T"}, **{"$defs": {"T": with_property({"$ref": "#/$defs/U"}), "U": with_property(TEXT)}}
        ),
        "Circular",
    ),
    "25 optional parameters": (
        with_properties(25, TEXT, required=False),
        with_properties(24, TEXT, required=False),
        "optional parameters",
    ),
    "17 unions": (
        with_properties(17, {"type": ["string", "null"]}, required=True),
        with_properties(16, {"type": ["string", "null"]}, required=True),
        "union types",
    ),
    "a large grammar": (
        with_property(TEXT, description="x" * 12_000),
        with_property(TEXT, description="x" * 9_000),
        "grammar is too large",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_rejects_unsupported_schema(name: str) -> None:
    rejected, _, word = PAIRS[name]

    assert word in (first_problem(create_request(rejected)) or "")


@pytest.mark.parametrize("name", PAIRS)
def test_accepts_similar_supported_schema(name: str) -> None:
    _, good, _ = PAIRS[name]

    assert first_problem(create_request(good)) is None


@pytest.mark.parametrize(
    ("model", "is_accepted"),
    [
        (MODEL, True),
        ("claude-opus-4-1-20250805", True),
        ("claude-opus-5-5", True),
        ("claude-opus-4-20250514", False),
        ("claude-3-5-sonnet-20241022", False),
    ],
)
def test_models_before_4_5_except_opus_4_1_reject_schemas(model: str, is_accepted: bool) -> None:
    problem = first_problem(create_request(with_property(TEXT), model=model)) or ""

    assert (problem == "") is is_accepted
    assert first_problem(create_request(with_property(TEXT), model=model, output_config={})) is None


def test_rejects_citations_together_with_a_schema() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    cited = {"type": "document", "source": source, "citations": {"enabled": True}}
    messages = [{"role": "user", "content": [cited]}]

    assert "citations" in (first_problem(create_request(with_property(TEXT), messages=messages)) or "")
    assert first_problem(create_request(with_property(TEXT), messages=messages, output_config={})) is None
