"""Arguments of calls: what is read of their text, and which integers the CLI would change."""

import json
from typing import Any

import orjson
import pytest

from workers.call_arguments import Arguments, as_written, carried_arguments, changed_integers, read_arguments

BIG = 1234567890123456789


def read(written: str) -> Arguments:
    found = read_arguments(written)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "written",
    ['{"city": "Par', "null", " ", "", "[]", '"a"', "5", "{'city': 'Paris'}", '{"city":"Paris"}</invoke>', "{,}"],
)
def test_reads_nothing_where_there_is_no_json_object(written: str) -> None:
    assert read_arguments(written) is None


@pytest.mark.parametrize("depth", [1_100, 100_000])
def test_reads_nothing_where_the_text_is_nested_too_deep(depth: int) -> None:
    assert read_arguments('{"x":' * depth + "1" + "}" * depth) is None


def test_reads_nothing_where_there_are_more_values_than_a_request_may_hold() -> None:
    assert read_arguments('{"a":[' + "1," * 300_000 + "1]}") is None


def test_reads_strict_json_as_it_is() -> None:
    assert read('{"a": {"b": [1, -2.5, null, true, "x"]}}') == Arguments({"a": {"b": [1, -2.5, None, True, "x"]}})


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('{"city":"a\nb\t"}', {"city": "a\nb\t"}),
        ('{"x": NaN, "y": [-Infinity, 1e999]}', {"x": "NaN", "y": ["-Infinity", "1e999"]}),
        ('{"x": "\\ud800.\\ud83d\\ude00", "\\udc00": 1}', {"x": "\ufffd.\U0001f600", "\ufffd": 1}),
    ],
    ids=["control-characters", "no-numbers", "halves-of-characters"],
)
def test_reads_leniently_what_has_a_clear_meaning(written: str, value: Any) -> None:
    assert read(written) == Arguments(value, is_json=False)


@pytest.mark.parametrize("written", ['{"a": 1, "b": 2, "a": 3}', '{"a" : 1, "b" : 2, "a" : 3}'])
def test_counts_the_last_value_of_a_repeated_name_and_names_it(written: str) -> None:
    assert read(written) == Arguments({"a": 3, "b": 2}, repeated=("a",))


@pytest.mark.parametrize("written", ['{"a": "b: c, \\"d\\": e"}', '{"a\\\\": {"a\\\\": 1}}', '{"a" : [{"a" :1}]}'])
def test_takes_no_other_colon_for_a_repeated_name(written: str) -> None:
    assert read(written).repeated == ()


@pytest.mark.parametrize(
    "number",
    [BIG, -BIG, 2**53 + 1, 2**60, 2**63 - 1, 2**64 - 1, 2**64 + 1, 10**21, 10**30, -(10**30)],
)
def test_writes_an_integer_that_the_cli_would_change_as_its_digits(number: int) -> None:
    found = read(f'{{"ids": [1, {{"user": {number}}}], "n": 2}}')

    assert found == Arguments({"ids": [1, {"user": str(number)}], "n": 2}, as_digits=("ids.1.user",))


def test_writes_an_integer_too_long_for_python_as_its_digits() -> None:
    assert read(f'{{"n": {"9" * 5_000}}}').value == {"n": "9" * 5_000}


@pytest.mark.parametrize("number", [0, -1, 2**53 - 1, 2**53, -(2**53), 10**18, 123 * 10**15])
def test_leaves_an_integer_that_the_cli_keeps_a_number(number: int) -> None:
    assert read(f'{{"n": {number}}}') == Arguments({"n": number})


def test_reads_an_object_as_it_reads_its_text() -> None:
    value = {"user": BIG, "list": [BIG, 1, True], "text": str(BIG)}

    assert carried_arguments(value) == read(json.dumps(value))


def test_names_no_more_than_a_hundred_fields() -> None:
    assert len(read(json.dumps({"ids": [BIG] * 200})).as_digits) == 100


def test_names_the_fields_of_a_schema_that_the_cli_would_change() -> None:
    schema = {"properties": {"user": {"maximum": 2**63 - 1, "minimum": 0, "enum": [1, BIG]}}, "x": True, "y": 1e30}

    assert sorted(changed_integers(schema, "f")) == ["f.properties.user.enum.1", "f.properties.user.maximum"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "{}"),
        ('{"a": 1}', '{"a":1}'),
        (f'{{"a": {2**64 - 1}}}', f'{{"a":{2**64 - 1}}}'),
        (f'{{"a": [{10**30}]}}', f'{{"a": [{10**30}]}}'),
    ],
)
def test_a_client_reads_all_digits(text: str, written: str) -> None:
    assert orjson.dumps(as_written(text)).decode() == written
