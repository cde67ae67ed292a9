"""Parser for call arguments, and the integers that the CLI would change."""

import json
from typing import Any

import orjson
import pytest

from workers.params.call_arguments import (
    CallArguments,
    find_changed_integers,
    normalize_arguments,
    parse_arguments,
    parse_arguments_for_client,
)

CHANGED_INTEGER = 1234567890123456789


def parse(text: str) -> CallArguments:
    arguments = parse_arguments(text)
    assert arguments is not None
    return arguments


@pytest.mark.parametrize(
    "text",
    ['{"city": "Par', "null", " ", "", "[]", '"a"', "5", "{'city': 'Paris'}", '{"city":"Paris"}</invoke>', "{,}"],
)
def test_returns_none_for_text_that_is_not_a_json_object(text: str) -> None:
    assert parse_arguments(text) is None


@pytest.mark.parametrize("depth", [1_100, 100_000])
def test_returns_none_for_text_that_is_nested_too_deeply(depth: int) -> None:
    assert parse_arguments('{"x":' * depth + "1" + "}" * depth) is None


def test_returns_none_for_too_many_values() -> None:
    assert parse_arguments('{"a":[' + "1," * 300_000 + "1]}") is None


def test_parses_strict_json_unchanged() -> None:
    assert parse('{"a": {"b": [1, -2.5, null, true, "x"]}}') == CallArguments({"a": {"b": [1, -2.5, None, True, "x"]}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"city":"a\nb\t"}', {"city": "a\nb\t"}),
        ('{"x": NaN, "y": [-Infinity, 1e999]}', {"x": "NaN", "y": ["-Infinity", "1e999"]}),
        ('{"x": "\\ud800.\\ud83d\\ude00", "\\udc00": 1}', {"x": "\ufffd.\U0001f600", "\ufffd": 1}),
    ],
    ids=["control-characters", "not-a-number", "lone-surrogates"],
)
def test_parses_invalid_json_with_a_clear_meaning(text: str, value: Any) -> None:
    assert parse(text) == CallArguments(value, is_strict_json=False)


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 3}', '{"a" : 1, "b" : 2, "a" : 3}'])
def test_keeps_the_last_value_of_a_duplicate_key_and_reports_the_key(text: str) -> None:
    assert parse(text) == CallArguments({"a": 3, "b": 2}, duplicate_keys=("a",))


@pytest.mark.parametrize("text", ['{"a": "b: c, \\"d\\": e"}', '{"a\\\\": {"a\\\\": 1}}', '{"a" : [{"a" :1}]}'])
def test_reports_no_duplicate_key_for_colons_in_strings(text: str) -> None:
    assert parse(text).duplicate_keys == ()


@pytest.mark.parametrize(
    "number",
    [CHANGED_INTEGER, -CHANGED_INTEGER, 2**53 + 1, 2**60, 2**63 - 1, 2**64 - 1, 2**64 + 1, 10**21, 10**30, -(10**30)],
)
def test_converts_an_integer_that_the_cli_would_change_to_a_string(number: int) -> None:
    arguments = parse(f'{{"ids": [1, {{"user": {number}}}], "n": 2}}')

    assert arguments == CallArguments({"ids": [1, {"user": str(number)}], "n": 2}, stringified_fields=("ids.1.user",))


def test_converts_an_integer_that_is_too_long_for_python_to_a_string() -> None:
    assert parse(f'{{"n": {"9" * 5_000}}}').value == {"n": "9" * 5_000}


@pytest.mark.parametrize("number", [0, -1, 2**53 - 1, 2**53, -(2**53), 10**18, 123 * 10**15])
def test_keeps_an_integer_that_the_cli_does_not_change(number: int) -> None:
    assert parse(f'{{"n": {number}}}') == CallArguments({"n": number})


def test_normalizes_an_object_like_its_text() -> None:
    value = {"user": CHANGED_INTEGER, "list": [CHANGED_INTEGER, 1, True], "text": str(CHANGED_INTEGER)}

    assert normalize_arguments(value) == parse(json.dumps(value))


def test_reports_at_most_a_hundred_fields() -> None:
    assert len(parse(json.dumps({"ids": [CHANGED_INTEGER] * 200})).stringified_fields) == 100


def test_finds_integers_in_a_schema_that_the_cli_would_change() -> None:
    schema = {
        "properties": {"user": {"maximum": 2**63 - 1, "minimum": 0, "enum": [1, CHANGED_INTEGER]}},
        "x": True,
        "y": 1e30,
    }

    assert sorted(find_changed_integers(schema, "f")) == ["f.properties.user.enum.1", "f.properties.user.maximum"]


@pytest.mark.parametrize(
    ("text", "expected_text"),
    [
        ("", "{}"),
        ('{"a": 1}', '{"a":1}'),
        (f'{{"a": {2**64 - 1}}}', f'{{"a":{2**64 - 1}}}'),
        (f'{{"a": [{10**30}]}}', f'{{"a": [{10**30}]}}'),
    ],
)
def test_keeps_all_digits_for_the_client(text: str, expected_text: str) -> None:
    assert orjson.dumps(parse_arguments_for_client(text)).decode() == expected_text
