"""What is a schema, what satisfies it, and that nobody can make either question last."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from claude_gateway.errors import ApiError
from claude_gateway.structured.schema_check import complaint, faults
from claude_gateway.structured.schemas import read_schema
from tests.workers.schemas import json_schemas, spoilt_schemas

Json = dict[str, Any]
# Ambiguous, so an engine that backtracks tries two to the fortieth ways.
EXPLODES, LONG = "^(a+)+$", "a" * 40 + "b"


class EnoughSteps(Exception):
    pass


def steps(most: int = 100_000) -> Callable[[], None]:
    """Raises at the step after `most`."""
    taken = iter(range(most))

    def tick() -> None:
        if next(taken, None) is None:
            raise EnoughSteps

    return tick


def wrong(schema: Json | None, value: Any) -> list[str]:
    return faults(schema, orjson.dumps(value).decode(), steps())


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "objekt"}, "$.type: 'objekt'"),
        ({"type": 5}, "$.type"),
        ({"properties": ["a"]}, "$.properties"),
        ({"properties": {"a": {"minimum": "x"}}}, "$.properties.a.minimum: 'x' is not of type 'number'"),
        ({"$defs": {"T": {"required": "a"}}}, "$['$defs'].T.required"),
        ({"type": "string", "pattern": "("}, "'(' cannot be matched"),
        ({"patternProperties": {"[": {}}}, "'[' cannot be matched"),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": 2},
            "exclusiveMinimum",
        ),
        ({"type": "string", "pattern": "((((a{100}){100}){100}){100})"}, "cannot be matched"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_schema_is_told_with_its_place(schema: Json, word: str) -> None:
    assert word in (complaint(schema, steps()) or "")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
        {"$schema": "one-of-tomorrow", "type": "string"},
        {"$schema": ["no name"], "type": "string"},
        {"a keyword of tomorrow": 1},
        {"type": "string", "pattern": "^(?=a).$"},
        {"type": "string", "pattern": r"^\p{L}+/\w$"},
    ],
    ids=str,
)
def test_what_is_a_schema_is_taken(schema: Json) -> None:
    read = read_schema(schema, "place", []).schema
    assert read is not None
    complained = complaint(read, steps())
    assert complained is None or "$schema" in complained


def test_an_answer_that_is_no_json_says_where() -> None:
    (fault,) = faults({}, '{"a": }', steps())

    assert fault.startswith("it is not JSON: ")
    assert fault.endswith("at character 6")


@pytest.mark.parametrize("text", ["{}", ' {"a": [1]}\n'])
def test_any_object_will_do_where_there_is_no_schema(text: str) -> None:
    assert faults(None, text, steps()) == []


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "{} {}", "NaN", "{'a': 1}"])
def test_anything_else_will_not(text: str) -> None:
    assert len(faults(None, text, steps())) == 1


def test_faults_are_few_short_and_have_their_place() -> None:
    schema = {"items": {"properties": {"age": {"type": "integer", "minimum": 1}}}}
    told = wrong(schema, [{"age": 0}, {"age": "x" * 5_000}, *[{"age": 0}] * 20])

    assert told[0] == "$[0].age: 0 is less than the minimum of 1"
    assert told[1].startswith("$[1].age: 'xxx")
    assert len(told) == 5
    assert max(map(len, told)) <= 300


def test_of_several_ways_the_fault_of_the_nearest_is_told() -> None:
    schema = {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"type": "integer"}}}]}

    assert wrong(schema, {"a": "x"}) == ["$.a: 'x' is not of type 'integer'"]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^[a-z]+$"}, ["abc", 5], ["ABC", "abc\n"]),
        ({"pattern": "b"}, ["abc"], ["ac"]),
        ({"pattern": r"^\d{4}-\d{2}$"}, ["2024-02"], ["2024-2"]),
        ({"pattern": "^(?=x)"}, ["x", "not checked"], []),
        ({"patternProperties": {"^n": {"type": "integer"}}}, [{"n1": 1, "a": "x"}, 5], [{"n1": "x"}]),
        ({"patternProperties": {"(?=x)": {"type": "integer"}}, "additionalProperties": False}, [{"x": "y"}], []),
        (
            {"properties": {"a": {}}, "patternProperties": {"^n": {}}, "additionalProperties": False},
            [{"a": 1, "n": 2}, 5],
            [{"b": 1}],
        ),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "x"}]),
        ({"additionalProperties": True}, [{"a": 1}], []),
        (
            {"uniqueItems": True},
            [[1, 2, "1"], [[1], [2]], [True, 1], 5],
            [[1, 1.0], [{"a": 1}, {"a": 1.0}], ["x", "x"]],
        ),
        ({"uniqueItems": False}, [[1, 1]], []),
        ({"items": {"$ref": "#/$defs/T"}, "$defs": {"T": {"type": "string"}}}, [["x"]], [[1]]),
        ({"$ref": "#/$defs/T", "$defs": {"T": {"items": {"$ref": "#"}}}}, [[[[]]]], []),
        ({"unevaluatedProperties": False, "properties": {"a": {}}}, [{"a": 1}], [{"b": 1}]),
        ({"format": "date"}, ["not asserted"], []),
    ],
    ids=lambda value: str(value)[:60],
)
def test_answers_are_held_against_the_schema(schema: Json, good: list[Any], bad: list[Any]) -> None:
    assert complaint(schema, steps()) is None
    assert [wrong(schema, value) for value in good] == [[]] * len(good)
    assert all(wrong(schema, value) for value in bad)


@given(json_schemas | spoilt_schemas())
def test_the_library_agrees(schema: Json) -> None:
    try:
        read = read_schema(schema, "place", []).schema
    except ApiError:
        return
    assert read is not None
    if complaint(read, steps()) or "pattern" in str(schema) or "#" in str(schema):
        return
    for value in (None, True, 1, 1.5, "x", [], [1, 1], {}, {"a": 1}, {"a": "x", "b": [None]}):
        assert (wrong(dict(read), value) == []) is Draft202012Validator(read).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": EXPLODES}, LONG),
        ({"patternProperties": {EXPLODES: {}}, "additionalProperties": False}, {LONG: 1}),
        ({"propertyNames": {"pattern": EXPLODES}}, {LONG: 1}),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": EXPLODES}}, [LONG]),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "pattern": EXPLODES, "items": {"$ref": "#"}}, [LONG]),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "extends": {"pattern": EXPLODES}}, LONG),
    ],
    ids=str,
)
def test_no_pattern_meets_an_engine_that_backtracks(schema: Json, value: Any) -> None:
    read = read_schema(schema, "place", []).schema

    assert wrong(dict(read or {}), value)


def test_whoever_asks_can_stop_a_check_that_doubles_at_each_level() -> None:
    level = {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}
    schema = {"$ref": "#/$defs/0", "$defs": {**level, "40": {"type": "null"}}}

    assert complaint(schema, steps()) is None
    with pytest.raises(EnoughSteps):
        wrong(schema, 1)


def test_whoever_asks_can_stop_the_look_at_the_patterns_of_a_schema() -> None:
    with pytest.raises(EnoughSteps):
        complaint({"anyOf": [{"pattern": f"{n}"} for n in range(100)]}, steps(50))


def test_a_schema_seen_before_costs_no_step() -> None:
    schema = {"properties": {"a": {"pattern": "^seen before$"}}}
    complaint(schema, steps())

    assert complaint(dict(schema), steps(0)) is None


def test_an_answer_nested_beyond_reason_is_not_taken() -> None:
    deep = "[" * 900 + "]" * 900

    assert faults({"items": {"$ref": "#"}}, deep, steps()) == ["it is nested too deep to be checked"]
    assert wrong({"$ref": "#"}, 1) == ["it is nested too deep to be checked"]
