"""Validity of schemas, validation of replies, and protection against checks that never end."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from claude_gateway.core.errors import ApiError
from claude_gateway.structured_output.schema_limits import parse_output_schema
from claude_gateway.structured_output.validation import find_problems, find_schema_problem
from tests.workers.schemas import json_schemas, mutated_schemas

Json = dict[str, Any]
# The pattern is ambiguous: a backtracking engine would try 2**40 ways to match the text.
EXPONENTIAL_PATTERN, LONG_TEXT = "^(a+)+$", "a" * 40 + "b"


class StepLimitReached(Exception):
    pass


def limit_steps(max_steps: int = 100_000) -> Callable[[], None]:
    """Return a checkpoint that raises at the step after `max_steps`."""
    counter = iter(range(max_steps))

    def checkpoint() -> None:
        if next(counter, None) is None:
            raise StepLimitReached

    return checkpoint


def find_reply_problems(schema: Json | None, value: Any) -> list[str]:
    return find_problems(schema, orjson.dumps(value).decode(), limit_steps())


@pytest.mark.parametrize(
    ("schema", "message_part"),
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
def test_finds_problems_of_invalid_schema_with_their_field_path(schema: Json, message_part: str) -> None:
    assert message_part in (find_schema_problem(schema, limit_steps()) or "")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
        {"$schema": "unknown-draft", "type": "string"},
        {"$schema": ["no name"], "type": "string"},
        {"unknown keyword": 1},
        {"type": "string", "pattern": "^(?=a).$"},
        {"type": "string", "pattern": r"^\p{L}+/\w$"},
    ],
    ids=str,
)
def test_finds_no_problems_in_valid_schema(schema: Json) -> None:
    parsed = parse_output_schema(schema, "text.format", []).schema
    assert parsed is not None
    problem = find_schema_problem(parsed, limit_steps())
    assert problem is None or "$schema" in problem


def test_reports_position_of_invalid_json() -> None:
    (problem,) = find_problems({}, '{"a": }', limit_steps())

    assert problem.startswith("it is not JSON: ")
    assert problem.endswith("at character 6")


@pytest.mark.parametrize("text", ["{}", ' {"a": [1]}\n'])
def test_accepts_any_object_without_a_schema(text: str) -> None:
    assert find_problems(None, text, limit_steps()) == []


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "{} {}", "NaN", "{'a': 1}"])
def test_rejects_non_object_without_a_schema(text: str) -> None:
    assert len(find_problems(None, text, limit_steps())) == 1


def test_reports_few_and_short_problems_with_their_field_path() -> None:
    schema = {"items": {"properties": {"age": {"type": "integer", "minimum": 1}}}}
    problems = find_reply_problems(schema, [{"age": 0}, {"age": "x" * 5_000}, *[{"age": 0}] * 20])

    assert problems[0] == "$[0].age: 0 is less than the minimum of 1"
    assert problems[1].startswith("$[1].age: 'xxx")
    assert len(problems) == 5
    assert max(map(len, problems)) <= 300


def test_reports_problem_of_the_closest_alternative() -> None:
    schema = {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"type": "integer"}}}]}

    assert find_reply_problems(schema, {"a": "x"}) == ["$.a: 'x' is not of type 'integer'"]


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
def test_validates_replies_against_the_schema(schema: Json, good: list[Any], bad: list[Any]) -> None:
    assert find_schema_problem(schema, limit_steps()) is None
    assert [find_reply_problems(schema, value) for value in good] == [[]] * len(good)
    assert all(find_reply_problems(schema, value) for value in bad)


@given(json_schemas | mutated_schemas())
def test_agrees_with_the_jsonschema_library(schema: Json) -> None:
    try:
        parsed = parse_output_schema(schema, "text.format", []).schema
    except ApiError:
        return
    assert parsed is not None
    if find_schema_problem(parsed, limit_steps()) or "pattern" in str(schema) or "#" in str(schema):
        return
    for value in (None, True, 1, 1.5, "x", [], [1, 1], {}, {"a": 1}, {"a": "x", "b": [None]}):
        assert (find_reply_problems(dict(parsed), value) == []) is Draft202012Validator(parsed).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": EXPONENTIAL_PATTERN}, LONG_TEXT),
        ({"patternProperties": {EXPONENTIAL_PATTERN: {}}, "additionalProperties": False}, {LONG_TEXT: 1}),
        ({"propertyNames": {"pattern": EXPONENTIAL_PATTERN}}, {LONG_TEXT: 1}),
        (
            {"items": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": EXPONENTIAL_PATTERN}},
            [LONG_TEXT],
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "pattern": EXPONENTIAL_PATTERN,
                "items": {"$ref": "#"},
            },
            [LONG_TEXT],
        ),
        (
            {"$schema": "http://json-schema.org/draft-03/schema#", "extends": {"pattern": EXPONENTIAL_PATTERN}},
            LONG_TEXT,
        ),
    ],
    ids=str,
)
def test_uses_no_backtracking_engine_for_patterns(schema: Json, value: Any) -> None:
    parsed = parse_output_schema(schema, "text.format", []).schema

    assert find_reply_problems(dict(parsed or {}), value)


def test_checkpoint_can_stop_a_validation_of_exponential_cost() -> None:
    level = {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}
    schema = {"$ref": "#/$defs/0", "$defs": {**level, "40": {"type": "null"}}}

    assert find_schema_problem(schema, limit_steps()) is None
    with pytest.raises(StepLimitReached):
        find_reply_problems(schema, 1)


def test_checkpoint_can_stop_the_check_of_schema_patterns() -> None:
    with pytest.raises(StepLimitReached):
        find_schema_problem({"anyOf": [{"pattern": f"{n}"} for n in range(100)]}, limit_steps(50))


def test_cached_schema_needs_no_step() -> None:
    schema = {"properties": {"a": {"pattern": "^cached$"}}}
    find_schema_problem(schema, limit_steps())

    assert find_schema_problem(dict(schema), limit_steps(0)) is None


def test_reports_reply_that_is_nested_too_deeply() -> None:
    deep = "[" * 900 + "]" * 900

    assert find_problems({"items": {"$ref": "#"}}, deep, limit_steps()) == ["it is nested too deeply to be checked"]
    assert find_reply_problems({"$ref": "#"}, 1) == ["it is nested too deeply to be checked"]
