"""Where a prompt differs from the one that was wanted."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.random_jobs.job import Job
from tests.e2e.random_jobs.prompt import Prompt, aliases, readable, received, wanted, without_unions

Json = dict[str, Any]

_MAX_SHOWN = 300
_NO_CONTENT = "(no content)"


@dataclass(frozen=True, slots=True)
class Difference:
    """`place` is a path into the prompt; its numbers are those of the message, block or tool."""

    place: str
    wanted: str
    seen: str

    @property
    def kind(self) -> str:
        """The place without its numbers."""
        return re.sub(r"\.\d+", "", self.place)

    def __str__(self) -> str:
        return f"{self.place}\n    wanted {_short(self.wanted)}\n    seen   {_short(self.seen)}"


def differences(job: Job, body: Json) -> list[Difference]:
    """Everything in which a request to the upstream is not what the job asks for."""
    names = aliases(job, body)
    want, seen = wanted(job, names), received(job, body)
    if job.dialect == "gemini":
        _number_the_calls(want)
        _number_the_calls(seen)
    found = [*_of("system", want.system, seen.system)]
    found += _of("messages", _listed(want), _listed(seen))
    if not (want.parameters["tool_choice"] == "none" and not seen.tools):
        found += _of_tools(want.tools, seen.tools, names.tools)
    else:
        seen.parameters["tool_choice"] = "none"
    found += _of("parameters", want.parameters, {name: seen.parameters[name] for name in want.parameters})
    return found


def between(fresh: Json, used: Json) -> list[Difference]:
    """Where two requests to the upstream are not the same, the CLI's own identifiers aside."""
    first, second = (
        {name: _unmarked(part) for name, part in body.items() if name != "metadata"} for body in (fresh, used)
    )
    return list(_of("fresh/used", first, second))


def _unmarked(part: Any) -> Any:
    if isinstance(part, list):
        return [_unmarked(one) for one in part if not _is_billing(one)]
    if isinstance(part, dict):
        return {name: _unmarked(one) for name, one in part.items() if name != "cache_control"}
    return part


def _is_billing(one: Any) -> bool:
    return isinstance(one, dict) and str(one.get("text")).startswith("x-anthropic-billing-header:")


def _listed(prompt: Prompt) -> list[Json]:
    return [{"role": role, "content": _whole_words(blocks)} for role, blocks in prompt.messages]


def _whole_words(blocks: list[Json]) -> list[Json]:
    """The gateway sends an assistant's "(no content)" in two blocks, for the CLI drops it in one."""
    texts = [block["text"] for block in blocks[:2] if block["type"] == "text"]
    if len(texts) == 2 and "".join(texts).strip() == _NO_CONTENT:
        return [{"type": "text", "text": "".join(texts)}, *blocks[2:]]
    return blocks


def _number_the_calls(prompt: Prompt) -> None:
    """Gemini's calls need no ids: what counts is which result belongs to which call."""
    numbers: dict[str, str] = {}
    for _, blocks in prompt.messages:
        for block in blocks:
            for name in ("id", "tool_use_id"):
                if name in block:
                    block[name] = numbers.setdefault(block[name], f"call {len(numbers)}")


def _of_tools(want: list[Json], seen: list[Json], known_as: Mapping[str, str]) -> Iterator[Difference]:
    names = [tool["name"] for tool in want], [tool["name"] for tool in seen]
    yield from _of("tools.names", *names)
    for sent, alias in known_as.items():
        if not readable(sent, alias):
            yield Difference("tools.alias", _shown(sent), _shown(alias))
    known = {tool["name"]: tool for tool in seen}
    for number, tool in enumerate(want):
        other = known.get(tool["name"])
        if other is None:
            continue
        has_union = without_unions(tool["input_schema"]) != tool["input_schema"]
        if not (has_union and tool["description"] in other["description"]):
            yield from _of(f"tools.{number}.description", tool["description"], other["description"])
        schemas = [tool["input_schema"], _untitled(other["input_schema"])]
        if has_union:
            schemas = [without_unions(schema) for schema in schemas]
        yield from _of(f"tools.{number}.schema", *schemas)
        if schemas[0] == schemas[1] and json.dumps(schemas[0]) != json.dumps(schemas[1]):
            yield Difference(f"tools.{number}.schema.order", _shown(schemas[0]), _shown(schemas[1]))


def _untitled(schema: Json) -> Json:
    """Without the titles that tell the model what a property is called whose alias says nothing."""
    properties = {
        name: {key: value for key, value in part.items() if key != "title" or value.isascii()}
        if isinstance(part, dict)
        else part
        for name, part in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if "properties" in schema else schema


def _of(place: str, want: Any, seen: Any) -> Iterator[Difference]:
    if isinstance(want, dict) and isinstance(seen, dict):
        for name in [*want, *(name for name in seen if name not in want)]:
            if name not in want or name not in seen:
                yield Difference(f"{place}.{name}", _shown(want.get(name, _NOTHING)), _shown(seen.get(name, _NOTHING)))
            else:
                yield from _of(f"{place}.{name}", want[name], seen[name])
    elif isinstance(want, list) and isinstance(seen, list) and len(want) == len(seen):
        for number, (one, other) in enumerate(zip(want, seen, strict=True)):
            yield from _of(f"{place}.{number}", one, other)
    elif isinstance(want, list) and isinstance(seen, list):
        first = next((n for n, (a, b) in enumerate(zip(want, seen, strict=False)) if a != b), min(len(want), len(seen)))
        shown = (f"{len(one)}, from the {first}th: {_shown(one[first : first + 2])}" for one in (want, seen))
        yield Difference(f"{place}.length", *shown)
    elif want != seen or (isinstance(want, bool) != isinstance(seen, bool)):
        yield Difference(place, *_around(want, seen))


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def _shown(value: Any) -> str:
    return ascii(value)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"


def _around(want: Any, seen: Any) -> tuple[str, str]:
    """Of long texts what stands around the first difference."""
    if not (isinstance(want, str) and isinstance(seen, str)):
        return _shown(want), _shown(seen)
    first = next((n for n, (a, b) in enumerate(zip(want, seen, strict=False)) if a != b), min(len(want), len(seen)))
    start = max(0, first - 20)
    mark = f"…[{start}:] " if start else ""
    return mark + _shown(want[start : first + 60]), mark + _shown(seen[start : first + 60])
