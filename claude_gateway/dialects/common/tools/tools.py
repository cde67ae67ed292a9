"""Parse the client tools in the requests of all dialects. No I/O.

If a tool is invalid, the functions raise `ApiError` 400 with the field path of the tool.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import orjson

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.tools import schema_meta
from claude_gateway.dialects.common.tools.deferred_tools import is_deferred_tool, is_hosted_tool_search
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, format_omission_note, parse_hosted_tool
from workers.core.job import ToolChoice, ToolDefinition
from workers.params.call_arguments import find_changed_integers
from workers.params.generation_params import can_enforce_output_schema
from workers.params.output_schema import to_native_schema

MAX_TOOLS = 512
_FRAME_DEPTH_MARGIN = 40
_MAX_NAMES_CHARS = 200
# The API rejects a request with more tools that have `strict`.
_MAX_STRICT_TOOLS = 20
_MAX_ROUNDING_NOTES = 5


def parse_tool(definition: Mapping[str, Any], field_path: str, notes: list[str]) -> ToolDefinition | None:
    """Parse a tool definition in the format of OpenAI or of Anthropic.

    Every dialect accepts both formats, because some editors mix the formats.

    Returns:
        The tool, or None for a hosted tool, such as a web search or a code interpreter.

    Raises:
        ApiError: 400 if the tool has no name, or if its schema is invalid.
    """
    inner = definition.get("function")
    function = inner if isinstance(inner, Mapping) else definition
    kind = definition.get("type", "function")
    schema = next((function[key] for key in ("parameters", "input_schema") if function.get(key) is not None), None)
    if kind not in ("function", "custom") or (kind == "custom" and schema is None):
        return None
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        raise bad_request(f"{field_path}.name", "a tool must have a name")
    is_strict = function.get("strict") is True or definition.get("strict") is True
    description = str(function.get("description") or "")
    valid_schema = _check_schema(schema, f"{field_path}.{name[:60]}")
    notes += list_rounding_notes(valid_schema, f"{field_path}.{name[:60]}")
    return ToolDefinition(name, description, valid_schema, strict=is_strict)


def parse_tools(
    definitions: list[Any],
    notes: list[str],
    hosted_tools: list[HostedTool],
    field_path: str = "tools",
    get_referenced_names: Callable[[], Collection[str]] = tuple,
) -> tuple[ToolDefinition, ...]:
    """Parse the tools of a request. Omit the deferred tools to which nothing in the request refers.

    Args:
        definitions: The tools as the client sent them.
        notes: List to which the function adds a note for the client about each hosted tool that the gateway omits.
        hosted_tools: List to which the function adds the hosted tools that built-in tools of Claude Code can replace.
        field_path: Field path of the tools.
        get_referenced_names: Function that returns the names of the tools to which the request refers. `parse_tools`
            calls the function only if there are deferred tools.

    Raises:
        ApiError: 400 if there are too many tools, if a tool is malformed, or if two tools have the same name.
    """
    if len(definitions) > MAX_TOOLS:
        raise bad_request(field_path, f"there are {len(definitions)} tools; at most {MAX_TOOLS} are allowed")
    tools: dict[str, ToolDefinition] = {}
    deferred: set[str] = set()
    for index, definition in enumerate(definitions):
        if not isinstance(definition, Mapping):
            raise bad_request(f"{field_path}.{index}", "a tool must be an object")
        tool = parse_tool(definition, f"{field_path}.{index}", notes)
        if tool is None:
            collect_hosted_tool(definition, f"{field_path}.{index}", notes, hosted_tools)
        elif tool.name in tools:
            raise bad_request(f"{field_path}.{index}", f"the name {tool.name[:60]!r} is used twice")
        else:
            tools[tool.name] = tool
            if is_deferred_tool(definition):
                deferred.add(tool.name)
    if deferred and not any(map(is_hosted_tool_search, definitions)):
        deferred.difference_update(get_referenced_names())
        return tuple(tool for tool in tools.values() if tool.name not in deferred)
    return tuple(tools.values())


def drop_unsupported_strict(
    tools: tuple[ToolDefinition, ...], model: str, notes: list[str]
) -> tuple[ToolDefinition, ...]:
    """Remove `strict` from each tool whose schema the API cannot enforce exactly as the client wrote it.

    The model still reads the schemas of these tools. A note names the tools.
    """
    strict = [tool for tool in tools if tool.strict]
    can_enforce = can_enforce_output_schema(model) and len(strict) <= _MAX_STRICT_TOOLS
    unenforced = {tool.name for tool in strict if not can_enforce or to_native_schema(tool.schema) != tool.schema}
    if unenforced:
        names = ", ".join(sorted(unenforced))[:_MAX_NAMES_CHARS]
        notes.append(f"tools: ignored `strict` of {names} (the API cannot enforce this schema)")
    return tuple(replace(tool, strict=False) if tool.name in unenforced else tool for tool in tools)


def collect_hosted_tool(
    definition: Mapping[str, Any], field_path: str, notes: list[str], hosted_tools: list[HostedTool]
) -> None:
    """Add a hosted tool to `hosted_tools` if a built-in tool of Claude Code can replace it. Otherwise add a note."""
    if (hosted_tool := parse_hosted_tool(definition, field_path)) is not None:
        hosted_tools.append(hosted_tool)
    else:
        notes.append(format_omission_note(field_path, definition.get("type"), "not supported by this version"))


def parse_tool_choice(
    choice: Any,
    tools: tuple[ToolDefinition, ...],
    notes: list[str],
    *,
    parallel: bool,
    hosted_names: Collection[str] = (),
) -> ToolChoice | None:
    """Convert the parameter `tool_choice`, in the format of OpenAI or of Anthropic, to the tool choice of a job.

    Args:
        choice: `auto`, `none`, `required`, or an object that names a tool.
        tools: Client tools of the request.
        notes: List to which the function adds a note for the client about each change to the choice.
        parallel: Whether the model may call several tools in one reply.
        hosted_names: Names of the hosted tools. The gateway cannot force the model to call one of them.

    Returns:
        The choice, or None if the choice asks for the default behaviour.

    Raises:
        ApiError: 400 if the choice is malformed or names an unknown tool.
    """
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
            raise bad_request("tool_choice", "must be auto, none, required, or name a tool")
    if isinstance(choice, Mapping) and choice.get("disable_parallel_tool_use"):
        parallel = False
    if mode == "tool" and name in hosted_names:
        notes.append(f"tool_choice: changed to auto (Claude cannot be forced to call {name[:40]!r})")
        mode, name = "auto", ""
    if mode == "tool" and name not in {tool.name for tool in tools}:
        raise bad_request("tool_choice", f"there is no tool {name[:60]!r}")
    if not tools and mode == "any":
        notes.append("tool_choice: ignored (there is no tool to call)")
    if not tools or (mode == "auto" and parallel):
        return None
    return ToolChoice(mode, name, parallel)


def list_rounding_notes(schema: Any, field_path: str) -> Iterator[str]:
    """Yield a note for each integer in a schema that Claude Code rounds, but at most five notes."""
    for field in islice(find_changed_integers(schema, field_path), _MAX_ROUNDING_NOTES):
        yield f"{field}: changed (Claude Code rounds this integer)"


def _check_schema(schema: Any, field_path: str) -> Mapping[str, Any]:
    if schema is None:
        return {"type": "object", "properties": {}}
    if not isinstance(schema, Mapping) or schema.get("type", "object") != "object":
        raise bad_request(field_path, "the parameters must be a JSON Schema of type object")
    if not is_serializable(schema):
        raise bad_request(field_path, "the schema is nested too deep")
    if invalid_path := schema_meta.find_invalid_path(schema):
        raise bad_request(f"{field_path}{invalid_path}", "is not valid in a JSON Schema (draft 2020-12)")
    return schema


def is_serializable(value: Any) -> bool:
    """Return whether the worker can encode a value as part of a JSON message to the CLI.

    The message nests the value some levels deeper, and the JSON encoder limits the number of levels.
    """
    nested = value
    for _ in range(_FRAME_DEPTH_MARGIN):
        nested = [nested]
    try:
        orjson.dumps(nested)
    except TypeError:
        return False
    return True
