"""The caller's tools in the shapes of this dialect, as plain functions and back. Pure.

Claude knows functions alone. A custom tool becomes one with a single string; a namespace's tools get its name in front;
a search for more tools that the caller runs himself is a function like any other. The origin of each is kept, so that
its calls go out in the shape in which the caller knows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from claude_gateway.prompt.allowed_tools import restrict_tools, tool_name
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.custom_tools import custom_function, is_custom
from claude_gateway.prompt.deferred_tools import is_deferred, is_hosted_search, referred_to
from claude_gateway.prompt.hosted_tools import Hosted
from claude_gateway.prompt.tools import MOST_TOOLS, read_choice, read_tool, set_aside
from workers.job import Tool, ToolChoice, Turn

Kind = Literal["function", "custom", "search"]

SEARCH = "tool_search"


@dataclass(frozen=True, slots=True)
class Origin:
    """A tool as the caller knows it."""

    kind: Kind
    name: str
    namespace: str | None = None


class Toolset:
    """Add the definitions, then take `tools`, `hosted` and `origins`. `notes` says what was left out."""

    def __init__(self, notes: list[str]) -> None:
        self._tools: dict[str, Tool] = {}
        self._notes = notes
        # The bare names of namespaced tools, and the functions that stand for them.
        self._bare: dict[str, set[str]] = {}
        self._deferred: set[str] = set()
        self._shows_all = False
        self.origins: dict[str, Origin] = {}
        self.hosted: list[Hosted] = []

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(self._tools.values())

    def add(self, definitions: Sequence[Any], where: str, *, replacing: bool = False) -> None:
        """`replacing`: a later definition of a name takes the place of an earlier one; otherwise it is a mistake."""
        for index, definition in enumerate(definitions):
            self._add(definition, f"{where}.{index}", replacing)

    def name_of(self, name: str, namespace: str | None = None) -> str:
        """The function that stands for a tool of the caller's, offered now or not."""
        if namespace is None and name not in self.origins and len(self._bare.get(name, ())) == 1:
            (name,) = self._bare[name]  # callers may leave the namespace out
        return _flat(name, namespace)

    def is_custom(self, name: str) -> bool:
        origin = self.origins.get(self.name_of(name))
        return origin is not None and origin.kind == "custom"

    def choose(
        self, choice: Any, *, parallel: bool, turns: Sequence[Turn] = ()
    ) -> tuple[tuple[Tool, ...], tuple[Hosted, ...], ToolChoice | None]:
        """The tools to offer, those of the provider, and whether one must be called. Of the deferred tools those are
        offered that `turns` or the choice refer to."""
        offered = self.tools
        if self._deferred and not self._shows_all:
            hidden = self._deferred - referred_to(turns, choice, self._named)
            offered = tuple(tool for tool in offered if tool.name not in hidden)
        left = restrict_tools(choice, offered, self.hosted, self._named)
        choice = left.choice
        match choice:
            case {"type": "function" | "custom" | "tool", "name": str()}:
                choice = {**choice, "type": "function", "name": self._named(choice)}
            case {"type": "function" | "auto" | "none" | "any" | "tool"} | str() | None:
                pass
            case {"type": str(kind)}:
                self._notes.append(
                    f"tool_choice: Claude cannot be held to a tool of type {kind[:40]!r}, and is left to choose"
                )
                choice = "auto"
        return left.tools, left.hosted, read_choice(choice, left.tools, self._notes, parallel=parallel)

    def _named(self, chosen: Mapping[str, Any]) -> str:
        namespace = chosen.get("namespace")
        return self.name_of(tool_name(chosen), namespace if isinstance(namespace, str) else None)

    def _add(self, definition: Any, where: str, replacing: bool) -> None:
        if not isinstance(definition, Mapping):
            raise bad(where, "a tool must be an object")
        match definition:
            case {"type": "namespace", "name": str(name), "tools": list(inner)} if name:
                for index, one in enumerate(inner):
                    self._add_one(one, f"{where}.tools.{index}", replacing, definition)
            case {"type": "namespace"}:
                raise bad(where, "a namespace must have a name and tools")
            case _:
                self._add_one(definition, where, replacing, None)

    def _add_one(self, definition: Any, where: str, replacing: bool, namespace: Mapping[str, Any] | None) -> None:
        if not isinstance(definition, Mapping):
            raise bad(where, "a tool must be an object")
        kind, function = _as_function(definition, self._notes, where)
        tool = read_tool(function, where, self._notes)
        if tool is None:
            self._shows_all = self._shows_all or is_hosted_search(definition)
            set_aside(definition, where, self._notes, self.hosted)
            return
        name, description = tool.name, tool.description
        if namespace is not None:
            name = _flat(tool.name, namespace["name"])
            about = namespace.get("description")
            description = f"{description}\n\n({namespace['name']}: {about})" if about else description
            self._bare.setdefault(tool.name, set()).add(name)
        if name in self._tools and not replacing:
            raise bad(where, f"the name {tool.name[:60]!r} is used twice")
        if len(self._tools) >= MOST_TOOLS:
            raise bad(where, f"at most {MOST_TOOLS} tools are taken")
        # What a search has found comes again, and is shown.
        (self._deferred.add if is_deferred(definition) and not replacing else self._deferred.discard)(name)
        self._tools[name] = Tool(name, description, tool.schema)
        self.origins[name] = Origin(kind, tool.name, namespace["name"] if namespace else None)


def flat_names(definitions: Sequence[Any]) -> list[str]:
    """The functions that stand for these tools."""
    names: list[str] = []
    for definition in definitions:
        match definition:
            case {"type": "namespace", "name": str(namespace), "tools": list(inner)}:
                names += [_flat(str(one.get("name")), namespace) for one in inner if isinstance(one, Mapping)]
            case {"name": str(name)}:
                names.append(name)
    return names


def _flat(name: str, namespace: str | None) -> str:
    return f"{namespace}__{name}" if namespace else name


def _as_function(definition: Mapping[str, Any], notes: list[str], where: str) -> tuple[Kind, Mapping[str, Any]]:
    match definition:
        case {"type": "tool_search", "execution": "client", "parameters": Mapping() as parameters}:
            description = definition.get("description")
            return "search", {"name": SEARCH, "description": description, "parameters": parameters}
    if is_custom(definition):
        return "custom", custom_function(definition, notes, where)
    return "function", definition
