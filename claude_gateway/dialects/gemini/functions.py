"""A Gemini request's tools: the caller's functions, and whether the model must call one. Pure; raises `ApiError` 400
naming the function at fault."""

from collections.abc import Mapping, Sequence

from pydantic.alias_generators import to_camel

from claude_gateway.dialects.gemini import wire
from claude_gateway.dialects.gemini.schema import from_json_schema, from_openapi
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.hosted_tools import Deed, Hosted, settings_of
from claude_gateway.prompt.tools import read_choice, read_tool
from workers.job import Tool, ToolChoice

_MOST_FUNCTIONS = 512
_ALLOWED = "toolConfig.functionCallingConfig.allowedFunctionNames"


_OF_GOOGLE: Mapping[str, Deed] = {
    "google_search": "search",
    "google_search_retrieval": "search",
    "url_context": "fetch",
    "code_execution": "code",
}


def read_hosted(tools: Sequence[wire.Tool]) -> list[Hosted]:
    """The tools that Google itself would run, as far as Claude may have something for them."""
    return [
        Hosted(f"tools.{number}.{to_camel(name)}", to_camel(name), deed, settings_of(getattr(tool, name)))
        for number, tool in enumerate(tools)
        for name, deed in _OF_GOOGLE.items()
        if getattr(tool, name) is not None
    ]


def read_functions(tools: Sequence[wire.Tool], notes: list[str]) -> tuple[Tool, ...]:
    """The functions of all tools; a tool that nobody knows is noted."""
    found: dict[str, Tool] = {}
    unread: dict[str, None] = {}
    for number, tool in enumerate(tools):
        notes += [
            f"tools.{number}.{name[:40]}: left out, not supported by this version"
            for name, value in tool.unknown.items()
            if value is not None
        ]
        for index, declaration in enumerate(tool.function_declarations or ()):
            where = f"tools.{number}.functionDeclarations.{index}"
            if declaration.name in found:
                raise bad(where, f"the name {declaration.name[:60]!r} is used twice")
            found[declaration.name] = _function(declaration, where, notes)
            unread |= dict.fromkeys(name[:40] for name, value in declaration.unknown.items() if value is not None)
    notes += [f"tools: {name} of a function is left out, Claude reads none" for name in unread]
    if len(found) > _MOST_FUNCTIONS:
        raise bad("tools", f"there are {len(found)} functions, and at most {_MOST_FUNCTIONS} are taken")
    return tuple(found.values())


def read_calling(
    config: wire.FunctionCallingConfig | None, functions: tuple[Tool, ...], notes: list[str]
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """The functions that may be called, and the choice among them. Claude can be held to one function or to any:
    to hold it to some, it is shown only those."""
    mode = (config and config.mode) or "auto"
    allowed = (config and config.allowed_function_names) or []
    for name in allowed:
        if name not in {function.name for function in functions}:
            raise bad(_ALLOWED, f"there is no function {name[:60]!r}")
    if mode == "any" and len(allowed) == 1:
        return functions, read_choice({"type": "tool", "name": allowed[0]}, functions, notes, parallel=True)
    if mode != "none":
        functions = tuple(function for function in functions if not allowed or function.name in allowed)
    return functions, read_choice(mode if mode in ("any", "none") else "auto", functions, notes, parallel=True)


def _function(declaration: wire.FunctionDeclaration, where: str, notes: list[str]) -> Tool:
    schema = declaration.parameters_json_schema
    if schema is not None:
        schema = from_json_schema(schema, where)
    elif isinstance(declaration.parameters, Mapping):
        # Arguments are always an object, whatever the schema says of null.
        schema = from_openapi({**declaration.parameters, "nullable": None}, where)
    else:
        schema = declaration.parameters
    tool = read_tool(
        {"name": declaration.name, "description": declaration.description, "parameters": schema}, where, notes
    )
    assert tool is not None  # only what is no function is left out
    return tool
