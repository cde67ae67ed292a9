"""Names of tools, properties and calls that the Messages API refuses, in a form that it takes, and back. Pure.

The API takes `[a-zA-Z0-9_-]{1,128}` for a tool and `[a-zA-Z0-9_.-]{1,64}` for a property at the root of its schema. An
alias keeps what can be read of the name (`github.create_issue` becomes `github_create_issue`), and depends on nothing
but the names of the job's tools, so that a history stays the same from one request to the next.
"""

import hashlib
import operator
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from workers.events import BlockEnded, BlockStarted, Event, InputDelta
from workers.job import Block, ChatJob, Tool, ToolResult, ToolUse, Turn
from workers.key_renamer import KeyRenamer
from workers.tool_schema import constraint, object_schema

_TOOL = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_PROPERTY_AT_ROOT = re.compile(r"#/properties/[^/]*")
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MAX_TOOL_CHARS = 128
_MAX_PROPERTY_CHARS = 64
_UNREADABLE = re.compile(r"[^a-zA-Z0-9_-]+")
_DIGEST_CHARS = 8
# The keywords under which a schema speaks of the same object once more.
_SAME_OBJECT = ("not", "if", "then", "else", "anyOf", "oneOf", "allOf", "dependentSchemas")

Names = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Aliases:
    """Of one job's tools: `tools` by the client's name, `properties` by the client's names of tool and property. Names
    that need no alias stand in neither."""

    tools: Names
    properties: Mapping[str, Names]

    def tool(self, name: str) -> str:
        """What the API calls a tool, also one that is only in the history."""
        known = self.tools.get(name)
        if known is not None or _TOOL.fullmatch(name):
            return known or name
        return _alias(name, "tool", _MAX_TOOL_CHARS, ())


def aliases(tools: Iterable[Tool]) -> Aliases:
    schemas = {tool.name: tool.schema for tool in tools}
    renamed = _changed_names(sorted(schemas), _TOOL, "tool", _MAX_TOOL_CHARS)
    properties = {name: _property_aliases(schema) for name, schema in schemas.items()}
    return Aliases(renamed, {name: changed for name, changed in properties.items() if changed})


def inward(job: ChatJob) -> ChatJob:
    """The job in names that the API takes. What needs no change is not copied: most jobs need none."""
    known = aliases(job.tools)
    turns = tuple(_turn(turn, known) for turn in job.turns)
    tools = tuple(_tool(tool, known) for tool in job.tools)
    tuning, choice = job.tuning, job.tuning.tool_choice
    if choice is not None and choice.name and known.tool(choice.name) != choice.name:
        tuning = replace(tuning, tool_choice=replace(choice, name=known.tool(choice.name)))
    same = (
        tuning is job.tuning and all(map(operator.is_, turns, job.turns)) and all(map(operator.is_, tools, job.tools))
    )
    return job if same else replace(job, turns=turns, tools=tools, tuning=tuning)


def offered(tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """The tools in names that the API takes."""
    tools = tuple(tools)
    known = aliases(tools)
    return tuple(_tool(tool, known) for tool in tools)


def as_called(tools: Iterable[Tool], alias: str, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The name and the arguments of a call in the names that the tools themselves have."""
    known = aliases(tools)
    name = {short: name for name, short in known.tools.items()}.get(alias, alias)
    keys = {short: key for key, short in known.properties.get(name, {}).items()}
    return name, _renamed(arguments, keys) if keys else arguments


class Outward:
    """Feed it the events of a job's answer; it gives them in the client's names, whatever the cuts of the deltas."""

    def __init__(self, job: ChatJob) -> None:
        known = aliases(job.tools)
        self._tools = {alias: name for name, alias in known.tools.items()}
        self._properties = {
            name: {alias: key for key, alias in changed.items()} for name, changed in known.properties.items()
        }
        self._renamer: KeyRenamer | None = None

    def feed(self, event: Event) -> list[Event]:
        match event:
            case BlockStarted(ToolUse(id_, alias, arguments)):
                name = self._tools.get(alias, alias)
                changed = self._properties.get(name)
                self._renamer = KeyRenamer(changed) if changed else None
                return [BlockStarted(ToolUse(id_, name, arguments))]
            case InputDelta(text) if self._renamer:
                return [InputDelta(renamed)] if (renamed := self._renamer.feed(text)) else []
            case BlockEnded() if self._renamer:
                rest, self._renamer = self._renamer.end(), None
                return [InputDelta(rest), event] if rest else [event]
        return [event]


def _turn(turn: Turn, known: Aliases) -> Turn:
    if not any(isinstance(block, ToolUse | ToolResult) for block in turn.blocks):
        return turn
    blocks = tuple(_block(block, known) for block in turn.blocks)
    return turn if all(map(operator.is_, blocks, turn.blocks)) else replace(turn, blocks=blocks)


def _block(block: Block, known: Aliases) -> Block:
    match block:
        case ToolUse(id_, name, arguments):
            call, alias, changed = _call_id(id_), known.tool(name), known.properties.get(name)
            if call == id_ and alias == name and not changed:
                return block
            return ToolUse(call, alias, _renamed(arguments, changed or {}))
        case ToolResult(id_, content, is_error) if (call := _call_id(id_)) != id_:
            return ToolResult(call, content, is_error)
    return block


def _tool(tool: Tool, known: Aliases) -> Tool:
    changed = known.properties.get(tool.name)
    renamed = _with_aliases(tool.schema, changed) if changed else tool.schema
    name, schema = known.tool(tool.name), object_schema(renamed)
    if name == tool.name and schema is tool.schema:
        return tool
    # Of a name that is nothing but a digest for the API, the model reads what it was, unless it is described anyway.
    described = tool.description or ("" if _readable(tool.name) else tool.name)
    described = "\n\n".join(part for part in (described, constraint(renamed)) if part)
    return replace(tool, name=name, schema=schema, description=described)


def _property_aliases(schema: Mapping[str, Any]) -> Names:
    properties = object_schema(schema).get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return _changed_names(properties, _PROPERTY, "property", _MAX_PROPERTY_CHARS)


def _changed_names(names: Collection[str], allowed: re.Pattern[str], kind: str, limit: int) -> Names:
    """An alias, unlike any other name, for each name that is not allowed."""
    refused = [name for name in names if not allowed.fullmatch(name)]
    taken = set(names) if refused else set()
    changed: dict[str, str] = {}
    for name in refused:
        changed[name] = _alias(name, kind, limit, taken)
        taken.add(changed[name])
    return changed


def _alias(name: str, kind: str, limit: int, taken: Collection[str]) -> str:
    """What can be read of a name, in the letters that the API takes; with a digest where that is nothing, cut off, or
    the name of something else."""
    readable = _readable(name)
    if readable and len(readable) <= limit and readable not in taken:
        return readable
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{(readable or kind)[: limit - _DIGEST_CHARS - 1]}_{digest}"


def _readable(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _UNREADABLE.sub("_", plain).strip("_")


def _with_aliases(schema: Mapping[str, Any], changed: Names) -> Mapping[str, Any]:
    """A schema whose properties at the root have their aliases, wherever it speaks of them."""
    pointers = {f"#/properties/{_pointer(key)}": f"#/properties/{alias}" for key, alias in changed.items()}
    renamed: Mapping[str, Any] = _repointed(_renamed_schema(schema, changed, is_root=True), pointers)
    return renamed


def _renamed_schema(schema: Any, changed: Names, *, is_root: bool = False) -> Any:
    match schema:
        case Mapping():
            return {word: _renamed_keyword(word, value, changed, is_root) for word, value in schema.items()}
        case list():
            return [_renamed_schema(item, changed) for item in schema]
    return schema


def _renamed_keyword(word: str, value: Any, changed: Names, is_root: bool) -> Any:
    match word, value:
        case "properties", Mapping():
            named = {key: _named(part, key) if key in changed and is_root else part for key, part in value.items()}
            return _renamed(named, changed)
        case "required", list():
            return [changed.get(key, key) if isinstance(key, str) else key for key in value]
        case "dependentRequired", Mapping():
            return {
                changed.get(key, key): [changed.get(one, one) for one in keys] if isinstance(keys, list) else keys
                for key, keys in value.items()
            }
        case "dependentSchemas", Mapping():
            return {changed.get(key, key): _renamed_schema(part, changed) for key, part in value.items()}
        case keyword, _ if keyword in _SAME_OBJECT:
            return _renamed_schema(value, changed)
    return value


def _named(part: Any, key: str) -> Any:
    """Of a name in other letters the alias says nothing: the model reads the name itself as the title."""
    return {"title": key, **part} if isinstance(part, Mapping) and not key.isascii() else part


def _repointed(value: Any, pointers: Names) -> Any:
    match value:
        case {"$ref": str(reference)} if (old := _PROPERTY_AT_ROOT.match(reference)) and old[0] in pointers:
            return {**value, "$ref": pointers[old[0]] + reference.removeprefix(old[0])}
        case Mapping():
            return {key: _repointed(part, pointers) for key, part in value.items()}
        case list():
            return [_repointed(part, pointers) for part in value]
    return value


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _renamed(mapping: Mapping[str, Any], changed: Names) -> dict[str, Any]:
    return {changed.get(key, key): value for key, value in mapping.items()}


def _call_id(id_: str) -> str:
    if _CALL_ID.fullmatch(id_):
        return id_
    return f"call_{hashlib.sha256(id_.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
