"""Each refusal of a schema by the real API, beside a neighbour that it takes."""

from typing import Any

import pytest

from claude_gateway.demo.refusals import refusal

MODEL = "claude-sonnet-4-5-20250929"
TEXT = {"type": "string"}
Schema = dict[str, Any]


def body(schema: Any, **more: Any) -> dict[str, Any]:
    format_ = {"type": "json_schema", "schema": schema}
    messages = [{"role": "user", "content": "hi"}]
    return {"model": MODEL, "max_tokens": 9, "messages": messages, "output_config": {"format": format_}, **more}


def one(schema: Any, **more: Any) -> Schema:
    properties = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    return {**properties, **more}


def many(count: int, schema: Any, *, required: bool) -> Schema:
    names = [str(number) for number in range(count)]
    return one(TEXT, properties=dict.fromkeys(names, schema), required=names if required else [])


# What is refused, the good neighbour, and a word of the complaint.
PAIRS: dict[str, tuple[Any, Any, str]] = {
    "no schema": (None, one(TEXT), "Field required"),
    "an open object": (one(TEXT, additionalProperties=True), one(TEXT), "explicitly set to false"),
    "an open object within": (one({"type": "object"}), one(one(TEXT)), "explicitly set to false"),
    "an object open by omission": ({"type": "object", "properties": {}}, one(TEXT), "explicitly set to false"),
    "no type": (one({}), one(TEXT), "type is missing"),
    "a schema that is true": (one(True), one(TEXT), "not an object"),
    "oneOf": (one({"oneOf": [TEXT]}), one({"anyOf": [TEXT]}), "'oneOf' is not supported"),
    "minimum": (one({"type": "integer", "minimum": 1}), one({"type": "integer"}), "'minimum' is not supported"),
    "maxLength": (one({**TEXT, "maxLength": 3}), one({**TEXT, "format": "date"}), "'maxLength' is not supported"),
    "maxItems": (
        one({"type": "array", "items": TEXT, "maxItems": 3}),
        one({"type": "array", "items": TEXT}),
        "'maxItems' is not supported",
    ),
    "two items at least": (
        one({"type": "array", "items": TEXT, "minItems": 2}),
        one({"type": "array", "items": TEXT, "minItems": 1}),
        "'minItems' values other than 0 or 1",
    ),
    "an array of anything": (one({"type": "array"}), one({"type": "array", "items": TEXT}), "'items' is missing"),
    "a format of its own": (one({**TEXT, "format": "color"}), one({**TEXT, "format": "uuid"}), "format"),
    "a pattern that looks ahead": (one({**TEXT, "pattern": "(?=a)"}), one({**TEXT, "pattern": "^a+$"}), "pattern"),
    "an object among values": (one({"enum": [{}]}), one({"enum": [None, 1, "a"]}), "Complex types"),
    "values beside types": (
        one({"type": ["string", "null"], "enum": ["a", None]}),
        one({"type": "string", "enum": ["a"]}),
        "does not match declared type",
    ),
    "a requirement of nothing": (one(TEXT, required=["b"]), one(TEXT), "names a property"),
    "a reference to nothing": (
        one({"$ref": "#/$defs/T"}),
        one({"$ref": "#/$defs/T"}, **{"$defs": {"T": TEXT}}),
        "Unresolvable",
    ),
    "a reference with company": (
        one({"$ref": "#/$defs/T", "description": "D"}, **{"$defs": {"T": TEXT}}),
        one({"$ref": "#/$defs/T"}, **{"$defs": {"T": {**TEXT, "description": "D"}}}),
        "stand alone",
    ),
    "a definition of itself": (
        one({"$ref": "#/$defs/T"}, **{"$defs": {"T": one({"$ref": "#/$defs/T"})}}),
        one({"$ref": "#/$defs/T"}, **{"$defs": {"T": one(TEXT)}}),
        "Circular",
    ),
    "a definition of itself in two steps": (
        one({"$ref": "#/$defs/T"}, **{"$defs": {"T": one({"$ref": "#/$defs/U"}), "U": one({"$ref": "#/$defs/T"})}}),
        one({"$ref": "#/$defs/T"}, **{"$defs": {"T": one({"$ref": "#/$defs/U"}), "U": one(TEXT)}}),
        "Circular",
    ),
    "25 optional parameters": (many(25, TEXT, required=False), many(24, TEXT, required=False), "optional parameters"),
    "17 unions": (
        many(17, {"type": ["string", "null"]}, required=True),
        many(16, {"type": ["string", "null"]}, required=True),
        "union types",
    ),
    "a large grammar": (
        one(TEXT, description="x" * 12_000),
        one(TEXT, description="x" * 9_000),
        "grammar is too large",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_refused(name: str) -> None:
    bad, _, word = PAIRS[name]

    assert word in (refusal(body(bad)) or "")


@pytest.mark.parametrize("name", PAIRS)
def test_its_neighbour_is_taken(name: str) -> None:
    _, good, _ = PAIRS[name]

    assert refusal(body(good)) is None


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        (MODEL, True),
        ("claude-opus-4-1-20250805", True),
        ("claude-opus-5-5", True),
        ("claude-opus-4-20250514", False),
        ("claude-3-5-sonnet-20241022", False),
    ],
)
def test_the_models_before_4_5_take_no_schema_but_for_opus_4_1(model: str, takes: bool) -> None:
    complaint = refusal(body(one(TEXT), model=model)) or ""

    assert (complaint == "") is takes
    assert refusal(body(one(TEXT), model=model, output_config={})) is None


def test_no_citations_go_with_a_schema() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    cited = {"type": "document", "source": source, "citations": {"enabled": True}}
    messages = [{"role": "user", "content": [cited]}]

    assert "citations" in (refusal(body(one(TEXT), messages=messages)) or "")
    assert refusal(body(one(TEXT), messages=messages, output_config={})) is None
