"""Convert the tools of the client to functions, and remember the original format of each tool. No I/O.

Claude only supports functions. A custom tool becomes a function with one string parameter. The tools of a namespace
become functions that have the name of the namespace as a prefix. A tool search that the client runs becomes an ordinary
function. The gateway remembers the original tool for each function, so that it can return a call in the format of this
tool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.tools.allowed_tools import get_tool_name, restrict_tools
from claude_gateway.dialects.common.tools.custom_tools import custom_tool_to_function, is_custom_tool
from claude_gateway.dialects.common.tools.deferred_tools import (
    find_referenced_tools,
    is_deferred_tool,
    is_hosted_tool_search,
)
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool
from claude_gateway.dialects.common.tools.tools import MAX_TOOLS, collect_hosted_tool, parse_tool, parse_tool_choice
from workers.core.job import ToolChoice, ToolDefinition, Turn

ClientToolKind = Literal["function", "custom", "search"]

TOOL_SEARCH = "tool_search"


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool as the client defined it.

    Attributes:
        kind: The type of the tool.
        name: The name of the tool, without its namespace.
        namespace: The name of the namespace that contains the tool, or None.
    """

    kind: ClientToolKind
    name: str
    namespace: str | None = None


class Toolset:
    """Collects the tools of one request, and converts them to functions.

    Args:
        notes: The list to which the toolset adds warnings for the client.

    Attributes:
        client_tools: Maps the function names that Claude sees to the tools of the client.
        hosted_tools: The tools that OpenAI would run.
    """

    def __init__(self, notes: list[str]) -> None:
        self._tools: dict[str, ToolDefinition] = {}
        self._notes = notes
        # Maps the bare name of each tool in a namespace to the functions of all tools with this bare name.
        self._functions_by_bare_name: dict[str, set[str]] = {}
        self._deferred: set[str] = set()
        self._show_deferred = False
        self.client_tools: dict[str, ClientTool] = {}
        self.hosted_tools: list[HostedTool] = []

    @property
    def tools(self) -> tuple[ToolDefinition, ...]:
        """The functions that replace the tools of the client."""
        return tuple(self._tools.values())

    def add(self, definitions: Sequence[Any], field_path: str, *, allow_replacement: bool = False) -> None:
        """Add tools to the toolset.

        Args:
            definitions: The definitions of the tools, in the format of the client.
            field_path: The field path of the list that contains the definitions.
            allow_replacement: Whether a definition may replace an earlier one of the same name.

        Raises:
            ApiError: 400 if a definition is invalid, or if a name is used twice.
        """
        for index, definition in enumerate(definitions):
            self._add_definition(definition, f"{field_path}.{index}", allow_replacement)

    def get_function_name(self, name: str, namespace: str | None = None) -> str:
        """Return the name of the function that replaces a client tool. The request need not define this tool."""
        if namespace is None and name not in self.client_tools and len(self._functions_by_bare_name.get(name, ())) == 1:
            (name,) = self._functions_by_bare_name[name]  # clients may leave out the namespace
        return _qualify_name(name, namespace)

    def is_custom(self, name: str) -> bool:
        """Return whether the client defined the tool of this name as a custom tool."""
        client_tool = self.client_tools.get(self.get_function_name(name))
        return client_tool is not None and client_tool.kind == "custom"

    def select_tools(
        self, choice: Any, *, parallel: bool, turns: Sequence[Turn] = ()
    ) -> tuple[tuple[ToolDefinition, ...], tuple[HostedTool, ...], ToolChoice | None]:
        """Select the tools that the gateway offers to the model.

        The client marks a tool as deferred if the model may see it only after a tool search. The gateway offers a
        deferred tool only if the turns or the choice refer to the tool.

        Args:
            choice: The `tool_choice` of the request.
            parallel: Whether the model may call several tools in one reply.
            turns: The turns of the conversation.

        Returns:
            The functions, the hosted tools, and the choice among the functions.
        """
        offered = self.tools
        if self._deferred and not self._show_deferred:
            hidden = self._deferred - find_referenced_tools(turns, choice, self._get_choice_function_name)
            offered = tuple(tool for tool in offered if tool.name not in hidden)
        allowed = restrict_tools(choice, offered, self.hosted_tools, self._get_choice_function_name)
        choice = allowed.choice
        match choice:
            case {"type": "function" | "custom" | "tool", "name": str()}:
                choice = {**choice, "type": "function", "name": self._get_choice_function_name(choice)}
            case {"type": "function" | "auto" | "none" | "any" | "tool"} | str() | None:
                pass
            case {"type": str(kind)}:
                self._notes.append(
                    f"tool_choice: changed to auto (Claude cannot be forced to call a tool of type {kind[:40]!r})"
                )
                choice = "auto"
        return (
            allowed.tools,
            allowed.hosted_tools,
            parse_tool_choice(choice, allowed.tools, self._notes, parallel=parallel),
        )

    def _get_choice_function_name(self, choice: Mapping[str, Any]) -> str:
        namespace = choice.get("namespace")
        return self.get_function_name(get_tool_name(choice), namespace if isinstance(namespace, str) else None)

    def _add_definition(self, definition: Any, field_path: str, allow_replacement: bool) -> None:
        if not isinstance(definition, Mapping):
            raise bad_request(field_path, "a tool must be an object")
        match definition:
            case {"type": "namespace", "name": str(name), "tools": list(inner)} if name:
                for index, tool in enumerate(inner):
                    self._add_tool(tool, f"{field_path}.tools.{index}", allow_replacement, definition)
            case {"type": "namespace"}:
                raise bad_request(field_path, "a namespace must have a name and tools")
            case _:
                self._add_tool(definition, field_path, allow_replacement, None)

    def _add_tool(
        self, definition: Any, field_path: str, allow_replacement: bool, namespace: Mapping[str, Any] | None
    ) -> None:
        if not isinstance(definition, Mapping):
            raise bad_request(field_path, "a tool must be an object")
        kind, function = _to_function(definition, self._notes, field_path)
        tool = parse_tool(function, field_path, self._notes)
        if tool is None:
            self._show_deferred = self._show_deferred or is_hosted_tool_search(definition)
            collect_hosted_tool(definition, field_path, self._notes, self.hosted_tools)
            return
        name, description = tool.name, tool.description
        if namespace is not None:
            name = _qualify_name(tool.name, namespace["name"])
            namespace_description = namespace.get("description")
            if namespace_description:
                description = f"{description}\n\n({namespace['name']}: {namespace_description})"
            self._functions_by_bare_name.setdefault(tool.name, set()).add(name)
        if name in self._tools and not allow_replacement:
            raise bad_request(field_path, f"the name {tool.name[:60]!r} is used twice")
        if len(self._tools) >= MAX_TOOLS:
            raise bad_request(field_path, f"at most {MAX_TOOLS} tools are allowed")
        # The output of a tool search contains the deferred tools that it found. The model may see them from then on.
        if is_deferred_tool(definition) and not allow_replacement:
            self._deferred.add(name)
        else:
            self._deferred.discard(name)
        self._tools[name] = ToolDefinition(name, description, tool.schema)
        self.client_tools[name] = ClientTool(kind, tool.name, namespace["name"] if namespace else None)


def list_function_names(definitions: Sequence[Any]) -> list[str]:
    """Return the names of the functions that replace the tools with these definitions."""
    names: list[str] = []
    for definition in definitions:
        match definition:
            case {"type": "namespace", "name": str(namespace), "tools": list(inner)}:
                names += [
                    _qualify_name(str(tool.get("name")), namespace) for tool in inner if isinstance(tool, Mapping)
                ]
            case {"name": str(name)}:
                names.append(name)
    return names


def _qualify_name(name: str, namespace: str | None) -> str:
    return f"{namespace}__{name}" if namespace else name


def _to_function(
    definition: Mapping[str, Any], notes: list[str], field_path: str
) -> tuple[ClientToolKind, Mapping[str, Any]]:
    match definition:
        case {"type": "tool_search", "execution": "client", "parameters": Mapping() as parameters}:
            description = definition.get("description")
            return "search", {"name": TOOL_SEARCH, "description": description, "parameters": parameters}
    if is_custom_tool(definition):
        return "custom", custom_tool_to_function(definition, notes, field_path)
    return "function", definition
