"""Replaces names that the Messages API rejects by aliases, and restores the names in replies. No I/O.

The names are those of tools, properties and calls. The API accepts `[a-zA-Z0-9_-]{1,128}` for a tool and
`[a-zA-Z0-9_.-]{1,64}` for a property at the root of a tool's schema. An alias keeps the readable part of a name
(`github.create_issue` becomes `github_create_issue`). Aliases depend only on the names of the tools in a job and of
their properties, so a conversation gets the same aliases in each request. In the reply, the client gets its own names.
"""

import hashlib
import operator
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.core.job import Block, ChatJob, ToolDefinition, ToolResult, ToolUse, Turn
from workers.params.key_renamer import KeyRenamer
from workers.params.tool_schema import build_constraint_text, to_object_schema

_VALID_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_VALID_PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_ROOT_PROPERTY_POINTER = re.compile(r"#/properties/[^/]*")
_VALID_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MAX_TOOL_NAME_CHARS = 128
_MAX_PROPERTY_NAME_CHARS = 64
_INVALID_CHARS = re.compile(r"[^a-zA-Z0-9_-]+")
_DIGEST_CHARS = 8
# The schema keywords whose subschemas apply to the same object as the schema itself.
_SAME_OBJECT_KEYWORDS = ("not", "if", "then", "else", "anyOf", "oneOf", "allOf", "dependentSchemas")

NameMap = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NameAliases:
    """The aliases for the tools of one job. A valid name has no alias.

    Attributes:
        tools: A map from the client's name of each tool to the alias.
        properties: A map from the client's name of each tool to the aliases of the tool's properties. These aliases are
            a map from the client's name of each property to the alias.
    """

    tools: NameMap
    properties: Mapping[str, NameMap]

    def get_tool_alias(self, name: str) -> str:
        """Return the alias of a tool, or the name itself if it is valid.

        The job need not define the tool, because an earlier turn may contain a call of a tool that the job lacks.
        """
        alias = self.tools.get(name)
        if alias is not None or _VALID_TOOL_NAME.fullmatch(name):
            return alias or name
        return _make_alias(name, "tool", _MAX_TOOL_NAME_CHARS, ())


NO_ALIASES = NameAliases({}, {})


def build_aliases(tools: Iterable[ToolDefinition]) -> NameAliases:
    """Build the aliases for the tools in a job. They depend only on the names of the tools and of the properties."""
    schemas = {tool.name: tool.schema for tool in tools}
    tool_aliases = _build_name_map(sorted(schemas), _VALID_TOOL_NAME, "tool", _MAX_TOOL_NAME_CHARS)
    properties = {name: _build_property_aliases(schema) for name, schema in schemas.items()}
    return NameAliases(tool_aliases, {name: aliases for name, aliases in properties.items() if aliases})


def sanitize_names(job: ChatJob, aliases: NameAliases) -> ChatJob:
    """Return the job with aliases in place of the names that the API does not accept.

    The function does not copy the parts of the job that contain no such names. Most jobs need no aliases.

    Args:
        job: A job with the client's names.
        aliases: The aliases for the job's tools.
    """
    turns = tuple(_sanitize_turn(turn, aliases) for turn in job.turns)
    tools = sanitize_tools(job.tools, aliases)
    params, choice = job.params, job.params.tool_choice
    if choice is not None and choice.name and aliases.get_tool_alias(choice.name) != choice.name:
        params = replace(params, tool_choice=replace(choice, name=aliases.get_tool_alias(choice.name)))
    is_unchanged = (
        params is job.params and all(map(operator.is_, turns, job.turns)) and all(map(operator.is_, tools, job.tools))
    )
    return job if is_unchanged else replace(job, turns=turns, tools=tools, params=params)


def sanitize_tools(tools: Iterable[ToolDefinition], aliases: NameAliases) -> tuple[ToolDefinition, ...]:
    """Return the tools with aliases in place of the names that the API does not accept."""
    return tuple(_sanitize_tool(tool, aliases) for tool in tools)


def restore_call(aliases: NameAliases, alias: str, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the client's name of a tool, and the arguments of a call with the client's names of the properties.

    Args:
        aliases: The aliases for the job's tools.
        alias: The name by which the model called the tool.
        arguments: The arguments with the names that the model used.
    """
    name = {alias_: name for name, alias_ in aliases.tools.items()}.get(alias, alias)
    keys = {alias_: key for key, alias_ in aliases.properties.get(name, {}).items()}
    return name, _rename_keys(arguments, keys) if keys else arguments


class NameRestorer:
    """Replaces aliases by the client's names in the events of a reply, even if two deltas contain parts of one name."""

    def __init__(self, aliases: NameAliases) -> None:
        self._tool_names: dict[str, str] = {}
        self._property_names: dict[str, NameMap] = {}
        if aliases is not NO_ALIASES:
            self._tool_names = {alias: name for name, alias in aliases.tools.items()}
            self._property_names = {
                name: {alias: key for key, alias in keys.items()} for name, keys in aliases.properties.items()
            }
        self._renamer: KeyRenamer | None = None

    def restore(self, events: list[Event]) -> list[Event]:
        """Return the events that replace these events."""
        if not self._tool_names and not self._property_names:  # saves time in most jobs
            return events
        return [restored for event in events for restored in self.feed(event)]

    def feed(self, event: Event) -> list[Event]:
        """Return the events that replace this event."""
        match event:
            case BlockStarted(ToolUse(id_, alias, arguments)):
                name = self._tool_names.get(alias, alias)
                property_names = self._property_names.get(name)
                self._renamer = KeyRenamer(property_names) if property_names else None
                return [BlockStarted(ToolUse(id_, name, arguments))]
            case ToolInputDelta(text) if self._renamer:
                return [ToolInputDelta(new_text)] if (new_text := self._renamer.feed(text)) else []
            case BlockEnded() if self._renamer:
                rest, self._renamer = self._renamer.flush(), None
                return [ToolInputDelta(rest), event] if rest else [event]
            case BlockStarted() | ToolInputDelta() | BlockEnded():
                pass  # the block is not a tool call, or no properties of the tool have aliases
            case Started() | TextDelta() | ThinkingDelta() | SignatureDelta() | StreamReset() | Finished():
                pass
            case ToolCallStarted() | ToolCallFinished():
                pass
            case _:
                assert_never(event)
        return [event]


def _sanitize_turn(turn: Turn, aliases: NameAliases) -> Turn:
    if not any(isinstance(block, ToolUse | ToolResult) for block in turn.blocks):
        return turn
    blocks = tuple(_sanitize_block(block, aliases) for block in turn.blocks)
    return turn if all(map(operator.is_, blocks, turn.blocks)) else replace(turn, blocks=blocks)


def _sanitize_block(block: Block, aliases: NameAliases) -> Block:
    match block:
        case ToolUse(id_, name, arguments):
            call_id, alias, keys = _sanitize_call_id(id_), aliases.get_tool_alias(name), aliases.properties.get(name)
            if call_id == id_ and alias == name and not keys:
                return block
            return ToolUse(call_id, alias, _rename_keys(arguments, keys or {}))
        case ToolResult(id_, content, is_error) if (call_id := _sanitize_call_id(id_)) != id_:
            return ToolResult(call_id, content, is_error)
    return block


def _sanitize_tool(tool: ToolDefinition, aliases: NameAliases) -> ToolDefinition:
    keys = aliases.properties.get(tool.name)
    renamed_schema = _alias_schema(tool.schema, keys) if keys else tool.schema
    name, schema = aliases.get_tool_alias(tool.name), to_object_schema(renamed_schema)
    if name == tool.name and schema is tool.schema:
        return tool
    # If the alias has no readable part and the tool has no description, the client's name becomes the description.
    description = tool.description or ("" if _to_ascii_name(tool.name) else tool.name)
    description = "\n\n".join(part for part in (description, build_constraint_text(renamed_schema)) if part)
    return replace(tool, name=name, schema=schema, description=description)


def _build_property_aliases(schema: Mapping[str, Any]) -> NameMap:
    properties = to_object_schema(schema).get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return _build_name_map(properties, _VALID_PROPERTY_NAME, "property", _MAX_PROPERTY_NAME_CHARS)


def _build_name_map(names: Collection[str], valid_name: re.Pattern[str], fallback: str, max_chars: int) -> NameMap:
    """Return a map with an alias for each name that is not valid. The aliases differ from each other."""
    invalid_names = [name for name in names if not valid_name.fullmatch(name)]
    used_names = set(names) if invalid_names else set()
    aliases: dict[str, str] = {}
    for name in invalid_names:
        aliases[name] = _make_alias(name, fallback, max_chars, used_names)
        used_names.add(aliases[name])
    return aliases


def _make_alias(name: str, fallback: str, max_chars: int, used_names: Collection[str]) -> str:
    """Return an alias that consists of the readable part of a name, in characters that the API accepts.

    If that part is empty, too long or already used, the function adds a digest of the name.
    """
    readable = _to_ascii_name(name)
    if readable and len(readable) <= max_chars and readable not in used_names:
        return readable
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{(readable or fallback)[: max_chars - _DIGEST_CHARS - 1]}_{digest}"


def _to_ascii_name(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _INVALID_CHARS.sub("_", ascii_name).strip("_")


def _alias_schema(schema: Mapping[str, Any], name_map: NameMap) -> Mapping[str, Any]:
    """Replace the names of root properties in a schema by aliases, also in references to these properties."""
    pointers = {f"#/properties/{_escape_pointer(key)}": f"#/properties/{alias}" for key, alias in name_map.items()}
    aliased: Mapping[str, Any] = _rewrite_refs(_rename_schema(schema, name_map, is_root=True), pointers)
    return aliased


def _rename_schema(schema: Any, name_map: NameMap, *, is_root: bool = False) -> Any:
    match schema:
        case Mapping():
            return {keyword: _rename_keyword(keyword, value, name_map, is_root) for keyword, value in schema.items()}
        case list():
            return [_rename_schema(item, name_map) for item in schema]
    return schema


def _rename_keyword(schema_keyword: str, value: Any, name_map: NameMap, is_root: bool) -> Any:
    match schema_keyword, value:
        case "properties", Mapping():
            titled = {
                key: _add_title(part, key) if key in name_map and is_root else part for key, part in value.items()
            }
            return _rename_keys(titled, name_map)
        case "required", list():
            return [name_map.get(key, key) if isinstance(key, str) else key for key in value]
        case "dependentRequired", Mapping():
            return {
                name_map.get(key, key): [name_map.get(name, name) for name in keys] if isinstance(keys, list) else keys
                for key, keys in value.items()
            }
        case "dependentSchemas", Mapping():
            return {name_map.get(key, key): _rename_schema(part, name_map) for key, part in value.items()}
        case keyword, _ if keyword in _SAME_OBJECT_KEYWORDS:
            return _rename_schema(value, name_map)
    return value


def _add_title(subschema: Any, key: str) -> Any:
    """Add the client's name of a property as the title of the property's subschema if the alias is not readable."""
    return {"title": key, **subschema} if isinstance(subschema, Mapping) and not key.isascii() else subschema


def _rewrite_refs(value: Any, pointers: NameMap) -> Any:
    match value:
        case {"$ref": str(reference)} if (old := _ROOT_PROPERTY_POINTER.match(reference)) and old[0] in pointers:
            return {**value, "$ref": pointers[old[0]] + reference.removeprefix(old[0])}
        case Mapping():
            return {key: _rewrite_refs(part, pointers) for key, part in value.items()}
        case list():
            return [_rewrite_refs(part, pointers) for part in value]
    return value


def _escape_pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _rename_keys(mapping: Mapping[str, Any], name_map: NameMap) -> dict[str, Any]:
    return {name_map.get(key, key): value for key, value in mapping.items()}


def _sanitize_call_id(id_: str) -> str:
    if _VALID_CALL_ID.fullmatch(id_):
        return id_
    return f"call_{hashlib.sha256(id_.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
