"""Convert the tools and the `functionCallingConfig` of a Gemini request to tools and a tool choice for Claude. No I/O.

If a function declaration is invalid, this module raises `ApiError` 400 with the path of the invalid field.
"""

from collections.abc import Mapping, Sequence

from pydantic.alias_generators import to_camel

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, HostedToolKind, list_hosted_settings
from claude_gateway.dialects.common.tools.tools import parse_tool, parse_tool_choice
from claude_gateway.dialects.gemini import schema
from claude_gateway.dialects.gemini.json_schema import from_json_schema, from_openapi
from workers.core.job import ToolChoice, ToolDefinition

_MAX_FUNCTIONS = 512
_ALLOWED_NAMES_PATH = "toolConfig.functionCallingConfig.allowedFunctionNames"
_HOSTED_TOOL_KINDS: Mapping[str, HostedToolKind] = {
    "google_search": "search",
    "google_search_retrieval": "search",
    "url_context": "fetch",
    "code_execution": "code",
}


def parse_hosted_tools(tools: Sequence[schema.GeminiTool]) -> list[HostedTool]:
    """Return the hosted tools, which are the tools that Google would run, if Claude Code has a similar tool."""
    return [
        HostedTool(f"tools.{number}.{to_camel(name)}", to_camel(name), kind, list_hosted_settings(getattr(tool, name)))
        for number, tool in enumerate(tools)
        for name, kind in _HOSTED_TOOL_KINDS.items()
        if getattr(tool, name) is not None
    ]


def parse_functions(tools: Sequence[schema.GeminiTool], notes: list[str]) -> tuple[ToolDefinition, ...]:
    """Return all functions that the request declares. Add a warning for each tool of an unknown kind."""
    functions: dict[str, ToolDefinition] = {}
    ignored_fields: dict[str, None] = {}
    for number, tool in enumerate(tools):
        notes += [
            f"tools.{number}.{name[:40]}: omitted (not supported by this version)"
            for name, value in tool.unknown_fields.items()
            if value is not None
        ]
        for index, declaration in enumerate(tool.function_declarations or ()):
            field_path = f"tools.{number}.functionDeclarations.{index}"
            if declaration.name in functions:
                raise bad_request(field_path, f"the name {declaration.name[:60]!r} is used twice")
            functions[declaration.name] = _parse_function(declaration, field_path, notes)
            ignored_fields |= dict.fromkeys(
                name[:40] for name, value in declaration.unknown_fields.items() if value is not None
            )
    notes += [f"tools: ignored the function field {name} (Claude has no such field)" for name in ignored_fields]
    if len(functions) > _MAX_FUNCTIONS:
        raise bad_request("tools", f"there are {len(functions)} functions; the maximum is {_MAX_FUNCTIONS}")
    return tuple(functions.values())


def parse_calling_config(
    config: schema.FunctionCallingConfig | None, functions: tuple[ToolDefinition, ...], notes: list[str]
) -> tuple[tuple[ToolDefinition, ...], ToolChoice | None]:
    """Return the functions that the gateway passes to Claude, and the tool choice for these functions.

    A tool choice can force Claude to call one given function, or any function, but it cannot limit the choice to
    several functions. If the client allows only some of the functions, the gateway passes only these to Claude.
    """
    mode = (config and config.mode) or "auto"
    allowed = (config and config.allowed_function_names) or []
    for name in allowed:
        if name not in {function.name for function in functions}:
            raise bad_request(_ALLOWED_NAMES_PATH, f"there is no function {name[:60]!r}")
    if mode == "any" and len(allowed) == 1:
        return functions, parse_tool_choice({"type": "tool", "name": allowed[0]}, functions, notes, parallel=True)
    if mode != "none":
        functions = tuple(function for function in functions if not allowed or function.name in allowed)
    return functions, parse_tool_choice(mode if mode in ("any", "none") else "auto", functions, notes, parallel=True)


def _parse_function(declaration: schema.FunctionDeclaration, field_path: str, notes: list[str]) -> ToolDefinition:
    schema = declaration.parameters_json_schema
    if schema is not None:
        schema = from_json_schema(schema, field_path)
    elif isinstance(declaration.parameters, Mapping):
        # Arguments are always an object, even if the schema of the parameters allows null.
        schema = from_openapi({**declaration.parameters, "nullable": None}, field_path)
    else:
        schema = declaration.parameters
    tool = parse_tool(
        {"name": declaration.name, "description": declaration.description, "parameters": schema}, field_path, notes
    )
    assert tool is not None  # `parse_tool` returns None only for hosted tools
    return tool
