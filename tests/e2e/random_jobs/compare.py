"""Find differences between an upstream request and the prompt that its job should become."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.random_jobs.job import Job
from tests.e2e.random_jobs.prompt import (
    Prompt,
    drop_unions,
    expected_prompt,
    find_aliases,
    is_readable_alias,
    received_prompt,
)

Json = dict[str, Any]

_MAX_SHOWN_CHARS = 300
_NO_CONTENT = "(no content)"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference. `field_path` is a path into the prompt, with the numbers of message, block or tool."""

    field_path: str
    expected: str
    actual: str

    @property
    def kind(self) -> str:
        """The field path without numbers."""
        return re.sub(r"\.\d+", "", self.field_path)

    def __str__(self) -> str:
        return f"{self.field_path}\n    expected {_abbreviate(self.expected)}\n    received {_abbreviate(self.actual)}"


def find_differences(job: Job, body: Json) -> list[Difference]:
    """Return every difference between an upstream request and the job."""
    names = find_aliases(job, body)
    expected, received = expected_prompt(job, names), received_prompt(job, body)
    if job.dialect == "gemini":
        _normalize_call_ids(expected)
        _normalize_call_ids(received)
    differences = [*_compare("system", expected.system, received.system)]
    differences += _compare("messages", _message_list(expected), _message_list(received))
    if not (expected.parameters["tool_choice"] == "none" and not received.tools):
        differences += _compare_tools(expected.tools, received.tools, names.tools)
    else:
        received.parameters["tool_choice"] = "none"
    differences += _compare(
        "parameters", expected.parameters, {name: received.parameters[name] for name in expected.parameters}
    )
    return differences


def compare_bodies(fresh: Json, reused: Json) -> list[Difference]:
    """Return the differences between two upstream requests, except for the CLI's own identifiers."""
    first, second = (
        {name: _strip_cache_control(part) for name, part in body.items() if name != "metadata"}
        for body in (fresh, reused)
    )
    return list(_compare("fresh/reused", first, second))


def _strip_cache_control(part: Any) -> Any:
    if isinstance(part, list):
        return [_strip_cache_control(item) for item in part if not _is_billing_block(item)]
    if isinstance(part, dict):
        return {name: _strip_cache_control(value) for name, value in part.items() if name != "cache_control"}
    return part


def _is_billing_block(part: Any) -> bool:
    return isinstance(part, dict) and str(part.get("text")).startswith("x-anthropic-billing-header:")


def _message_list(prompt: Prompt) -> list[Json]:
    return [{"role": role, "content": _join_no_content(blocks)} for role, blocks in prompt.messages]


def _join_no_content(blocks: list[Json]) -> list[Json]:
    """Join the two blocks in which the gateway sends an assistant's "(no content)", because the CLI drops one block."""
    texts = [block["text"] for block in blocks[:2] if block["type"] == "text"]
    if len(texts) == 2 and "".join(texts).strip() == _NO_CONTENT:
        return [{"type": "text", "text": "".join(texts)}, *blocks[2:]]
    return blocks


def _normalize_call_ids(prompt: Prompt) -> None:
    """Number the call ids: Gemini's calls need no ids, so only the assignment of results to calls counts."""
    numbers: dict[str, str] = {}
    for _, blocks in prompt.messages:
        for block in blocks:
            for name in ("id", "tool_use_id"):
                if name in block:
                    block[name] = numbers.setdefault(block[name], f"call {len(numbers)}")


def _compare_tools(expected: list[Json], actual: list[Json], tool_aliases: Mapping[str, str]) -> Iterator[Difference]:
    names = [tool["name"] for tool in expected], [tool["name"] for tool in actual]
    yield from _compare("tools.names", *names)
    for sent, alias in tool_aliases.items():
        if not is_readable_alias(sent, alias):
            yield Difference("tools.alias", _format_value(sent), _format_value(alias))
    received = {tool["name"]: tool for tool in actual}
    for number, tool in enumerate(expected):
        other = received.get(tool["name"])
        if other is None:
            continue
        has_union = drop_unions(tool["input_schema"]) != tool["input_schema"]
        if not (has_union and tool["description"] in other["description"]):
            yield from _compare(f"tools.{number}.description", tool["description"], other["description"])
        schemas = [tool["input_schema"], _drop_alias_titles(other["input_schema"])]
        if has_union:
            schemas = [drop_unions(schema) for schema in schemas]
        yield from _compare(f"tools.{number}.schema", *schemas)
        if schemas[0] == schemas[1] and json.dumps(schemas[0]) != json.dumps(schemas[1]):
            yield Difference(f"tools.{number}.schema.order", _format_value(schemas[0]), _format_value(schemas[1]))


def _drop_alias_titles(schema: Json) -> Json:
    """Drop the titles that tell the model the name of a property whose alias is not readable."""
    properties = {
        name: {key: value for key, value in part.items() if key != "title" or value.isascii()}
        if isinstance(part, dict)
        else part
        for name, part in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if "properties" in schema else schema


def _compare(field_path: str, expected: Any, actual: Any) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in [*expected, *(name for name in actual if name not in expected)]:
            if name not in expected or name not in actual:
                yield Difference(
                    f"{field_path}.{name}",
                    _format_value(expected.get(name, _MISSING)),
                    _format_value(actual.get(name, _MISSING)),
                )
            else:
                yield from _compare(f"{field_path}.{name}", expected[name], actual[name])
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (left, right) in enumerate(zip(expected, actual, strict=True)):
            yield from _compare(f"{field_path}.{number}", left, right)
    elif isinstance(expected, list) and isinstance(actual, list):
        first = next(
            (n for n, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b),
            min(len(expected), len(actual)),
        )
        excerpts = (
            f"{len(items)}, from the {first}th: {_format_value(items[first : first + 2])}"
            for items in (expected, actual)
        )
        yield Difference(f"{field_path}.length", *excerpts)
    elif expected != actual or (isinstance(expected, bool) != isinstance(actual, bool)):
        yield Difference(field_path, *_excerpts(expected, actual))


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_MISSING = _Missing()


def _format_value(value: Any) -> str:
    return ascii(value)


def _abbreviate(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}… ({len(text)} characters)"


def _excerpts(expected: Any, actual: Any) -> tuple[str, str]:
    """Return both values, or for long texts the parts around the first difference."""
    if not (isinstance(expected, str) and isinstance(actual, str)):
        return _format_value(expected), _format_value(actual)
    first = next(
        (n for n, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), min(len(expected), len(actual))
    )
    start = max(0, first - 20)
    mark = f"…[{start}:] " if start else ""
    return mark + _format_value(expected[start : first + 60]), mark + _format_value(actual[start : first + 60])
