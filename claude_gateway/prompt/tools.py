"""What callers of any dialect say of their own tools. Pure; raises `ApiError` 400 naming the tool at fault."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import orjson

from claude_gateway.prompt import schema_shape
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.deferred_tools import is_deferred, is_hosted_search
from claude_gateway.prompt.hosted_tools import Hosted, left_out, read_hosted
from workers.call_arguments import changed_integers
from workers.job import Tool, ToolChoice
from workers.output_schema import fitted_schema
from workers.tuning import takes_schemas

MOST_TOOLS = 512
_MOST_DEPTH_PROBE = 40
_MAX_NAMES_CHARS = 200
# The API refuses a request with more of them.
_MAX_STRICT_TOOLS = 20
_MOST_ROUNDED = 5


def read_tool(definition: Mapping[str, Any], where: str, notes: list[str]) -> Tool | None:
    """A tool in OpenAI's shape (nested or flat) or Anthropic's, as editors mix them; None for one that the
    provider itself would have to run (a web search, a code interpreter)."""
    inner = definition.get("function")
    function = inner if isinstance(inner, Mapping) else definition
    kind = definition.get("type", "function")
    schema = next((function[key] for key in ("parameters", "input_schema") if function.get(key) is not None), None)
    if kind not in ("function", "custom") or (kind == "custom" and schema is None):
        return None
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        raise bad(f"{where}.name", "a tool must have a name")
    is_strict = function.get("strict") is True or definition.get("strict") is True
    described = str(function.get("description") or "")
    read = _schema(schema, f"{where}.{name[:60]}")
    notes += rounded(read, f"{where}.{name[:60]}")
    return Tool(name, described, read, strict=is_strict)


def read_tools(
    definitions: list[Any],
    notes: list[str],
    hosted: list[Hosted],
    where: str = "tools",
    referred: Callable[[], Collection[str]] = tuple,
) -> tuple[Tool, ...]:
    """All of them but for deferred ones that are not `referred` to; those of the provider go to `hosted`, what is left
    out is noted. `where` is how the dialect calls them."""
    if len(definitions) > MOST_TOOLS:
        raise bad(where, f"there are {len(definitions)}, and at most {MOST_TOOLS} are taken")
    tools: dict[str, Tool] = {}
    deferred: set[str] = set()
    for index, definition in enumerate(definitions):
        if not isinstance(definition, Mapping):
            raise bad(f"{where}.{index}", "a tool must be an object")
        tool = read_tool(definition, f"{where}.{index}", notes)
        if tool is None:
            set_aside(definition, f"{where}.{index}", notes, hosted)
        elif tool.name in tools:
            raise bad(f"{where}.{index}", f"the name {tool.name[:60]!r} is used twice")
        else:
            tools[tool.name] = tool
            if is_deferred(definition):
                deferred.add(tool.name)
    if deferred and not any(map(is_hosted_search, definitions)):
        deferred.difference_update(referred())
        return tuple(tool for tool in tools.values() if tool.name not in deferred)
    return tuple(tools.values())


def with_possible_strictness(tools: tuple[Tool, ...], model: str, notes: list[str]) -> tuple[Tool, ...]:
    """The tools with `strict` where the API can hold a call to the schema as the client wrote it; the others are left
    to the model, which reads the schema, and noted."""
    strict = [tool for tool in tools if tool.strict]
    possible = takes_schemas(model) and len(strict) <= _MAX_STRICT_TOOLS
    loose = {tool.name for tool in strict if not possible or fitted_schema(tool.schema) != tool.schema}
    if loose:
        named = ", ".join(sorted(loose))[:_MAX_NAMES_CHARS]
        notes.append(f"tools: `strict` is left to the model for {named}; the API cannot hold calls to this schema")
    return tuple(replace(tool, strict=False) if tool.name in loose else tool for tool in tools)


def set_aside(definition: Mapping[str, Any], where: str, notes: list[str], hosted: list[Hosted]) -> None:
    """What is no function: a tool of the provider that Claude may have something for, or one that is left out."""
    if (one := read_hosted(definition, where)) is not None:
        hosted.append(one)
    else:
        notes.append(left_out(where, definition.get("type")))


def read_choice(
    choice: Any, tools: tuple[Tool, ...], notes: list[str], *, parallel: bool, hosted: Collection[str] = ()
) -> ToolChoice | None:
    """`auto`, `none`, `required`, or an object of either dialect; None where it asks for nothing. `hosted` are names of
    tools that are no functions, which Claude cannot be held to."""
    mode: Literal["auto", "any", "tool", "none"]
    match choice:
        case None | "auto" | {"type": "auto"}:
            mode, name = "auto", ""
        case "none" | {"type": "none"}:
            mode, name = "none", ""
        case "required" | "any" | {"type": "any"}:
            mode, name = "any", ""
        case (
            {"type": "function", "function": {"name": str(named)}}
            | {"type": "custom", "custom": {"name": str(named)}}
            | {"type": "function" | "custom" | "tool", "name": str(named)}
        ):
            mode, name = "tool", named
        case _:
            raise bad("tool_choice", "must be auto, none, required, or name a tool")
    if isinstance(choice, Mapping) and choice.get("disable_parallel_tool_use"):
        parallel = False
    if mode == "tool" and name in hosted:
        notes.append(f"tool_choice: Claude cannot be held to {name[:40]!r}, and is left to choose")
        mode, name = "auto", ""
    if mode == "tool" and name not in {tool.name for tool in tools}:
        raise bad("tool_choice", f"there is no tool {name[:60]!r}")
    if not tools and mode == "any":
        notes.append("tool_choice: there is no tool to call")
    if not tools or (mode == "auto" and parallel):
        return None
    return ToolChoice(mode, name, parallel)


def rounded(schema: Any, where: str) -> Iterator[str]:
    """A line for each integer of a schema that Claude Code rounds, but no more than a few."""
    for field in islice(changed_integers(schema, where), _MOST_ROUNDED):
        yield f"{field}: Claude Code rounds this integer, Claude reads it so"


def _schema(schema: Any, where: str) -> Mapping[str, Any]:
    if schema is None:
        return {"type": "object", "properties": {}}
    if not isinstance(schema, Mapping) or schema.get("type", "object") != "object":
        raise bad(where, "the parameters must be a JSON Schema of an object")
    if not is_writable(schema):
        raise bad(where, "the schema is nested too deep")
    if place := schema_shape.complaint(schema):
        raise bad(f"{where}{place}", "is not what a JSON Schema has there")
    return schema


def is_writable(value: Any) -> bool:
    """False for what can be read but, some levels deeper in a frame, not be written again."""
    nested = value
    for _ in range(_MOST_DEPTH_PROBE):
        nested = [nested]
    try:
        orjson.dumps(nested)
    except TypeError:
        return False
    return True
