"""Input items, one after another, as messages of a conversation. Pure; raises `ApiError` naming the item at fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_gateway.dialects.openai_responses.content import Part, read_content, read_run_output
from claude_gateway.dialects.openai_responses.tools import SEARCH, Toolset, flat_names
from claude_gateway.errors import ApiError
from claude_gateway.prompt.blocks import note_words, result_parts
from claude_gateway.prompt.call_input import read_input
from claude_gateway.prompt.conversation import bad, reminder
from claude_gateway.prompt.custom_tools import read_custom_input
from claude_gateway.prompt.deferred_tools import reference
from claude_gateway.prompt.in_words import in_words
from claude_gateway.prompt.thoughts import Sealer, unseal
from workers.job import Block, RedactedThought, Role, Text, Thought, ToolResult, ToolUse, Turn

Item = Mapping[str, Any]

_NOTHING_FOUND = "No tool was found."
# They hold definitions of tools alone.
_OF_TOOLS = ("mcp_list_tools", "tool_search_call", "tool_search_output")
_OF_THE_USER = ("_output", "_response")


@dataclass(frozen=True, slots=True)
class Said:
    """What was said so far: texts of the system prompt, and messages in their order. Those of one role may follow
    each other; what becomes of them is the conversation's business."""

    system: tuple[str, ...] = ()
    messages: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """What a request goes on from: the stored conversation, and the stored items that it refers to, by their ids.
    `size` is how many bytes all of it takes, roughly."""

    said: Said = Said()
    items: Mapping[str, Item] = field(default_factory=dict)
    size: int = 0


NO_PAST = Past()


class ItemReader:
    """Reads the items of one request. `notes` says what was left out."""

    def __init__(self, past: Past, toolset: Toolset, sealer: Sealer, notes: list[str]) -> None:
        self._past = past
        self._toolset = toolset
        self._sealer = sealer
        self._notes = notes
        self._system: list[str] = []
        self._messages: list[Turn] = []
        # Until what they led to is read: alone they are no message.
        self._thoughts: list[Thought | RedactedThought] = []

    def read(self, items: Sequence[Any]) -> Said:
        for number, item in enumerate(items):
            self._read(item, f"input.{number}")
        return Said(tuple(self._system), tuple(self._messages))

    def _read(self, item: Any, where: str) -> None:
        if not isinstance(item, Mapping):
            raise bad(where, "an item must be an object")
        match kind_of(item):
            case "message":
                self._message(item, where)
            case "reasoning":
                self._reasoning(item, where)
            case "function_call":
                self._call(item, self._function(item, where), self._arguments(item, where), where)
            case "custom_tool_call":
                self._call(item, self._function(item, where), read_custom_input(item.get("input")), where)
            case "local_shell_call" | "shell_call" | "apply_patch_call" | "computer_call" as kind if item.get(
                "call_id"
            ):
                done = next((item[name] for name in ("action", "operation", "actions") if item.get(name)), None)
                done = {"actions": done} if isinstance(done, list) else done
                arguments = read_input(done, f"{where}.action", self._notes)
                self._call(item, kind.removesuffix("_call"), arguments, where)
            case "local_shell_call_output" | "shell_call_output" | "apply_patch_call_output" | "computer_call_output":
                # OpenAI's own type of the first has the call's id in its `id`.
                named = {**item, "call_id": item.get("call_id") or item.get("id")}
                self._output(named, read_run_output(item, where), where)
            case "tool_search_call" if item.get("call_id"):
                self._call(item, SEARCH, self._arguments(item, where), where)
            case "function_call_output" | "custom_tool_call_output":
                self._output(item, read_content(item.get("output"), f"{where}.output"), where)
            case "tool_search_output" if item.get("call_id"):
                found = "\n".join(map(reference, flat_names(found_tools(item, where))))
                self._output(item, [Text(found or _NOTHING_FOUND)], where)
            case "item_reference":
                raise unknown_item(str(item.get("id")), where)  # those that are known were put in its place
            case "additional_tools":
                pass  # they were read with the other tools, before the first item
            case "response":
                raise bad(where, "a response is no item; send the items of its `output`, or previous_response_id")
            case None:
                raise bad(where, "an item must have a type or a role")
            case kind:
                self._in_words(kind, item, where)

    def _message(self, item: Item, where: str) -> None:
        parts = read_content(item.get("content"), f"{where}.content")
        said = [part for part in parts if not isinstance(part, Text) or part.text.strip()]
        match item.get("role"):
            case "user":
                self._add("user", *said)
            case "assistant":
                self._answered(self._texts(said, where))
            case "system" | "developer":
                texts = [part.text for part in self._texts(said, where)]
                if self._messages or self._past.said.messages:
                    self._add("user", *map(reminder, texts))
                else:
                    self._system += texts
            case _:
                raise bad(f"{where}.role", "must be user, assistant, system or developer")

    def _texts(self, parts: Sequence[Part], where: str) -> list[Text]:
        texts = [part for part in parts if isinstance(part, Text)]
        if len(texts) < len(parts):
            self._notes.append(f"{where}: images and files are left out, Claude takes them from the user alone")
        return texts

    def _in_words(self, kind: str, item: Item, where: str) -> None:
        """What the provider's own tools did, and what nobody knows yet."""
        words = "" if kind in _OF_TOOLS else in_words(kind[:60], item)
        note_words(kind, words, where, self._notes, "an item")
        if words and kind.endswith(_OF_THE_USER):
            self._add("user", Text(words))
        elif words:
            self._answered([Text(f"\n{words}\n")])

    def _reasoning(self, item: Item, where: str) -> None:
        match item.get("encrypted_content"):
            case str(sealed) if thoughts := unseal(sealed, self._sealer):
                self._thoughts += thoughts
            case None:
                pass  # a summary for people; the model takes its thoughts back signed or not at all
            case _:
                self._notes.append(f"{where}: reasoning that this gateway did not seal was left out")

    def _function(self, item: Item, where: str) -> str:
        namespace = item.get("namespace")
        return self._toolset.name_of(_string(item, "name", where), namespace if isinstance(namespace, str) else None)

    def _arguments(self, item: Item, where: str) -> Mapping[str, Any]:
        """An editor sends the raw text of a custom tool back as the arguments of a function."""
        written = item.get("arguments", "")
        if self._toolset.is_custom(str(item.get("name"))):
            return read_custom_input(written)
        return read_input(written, f"{where}.arguments", self._notes)

    def _call(self, item: Item, name: str, arguments: Mapping[str, Any], where: str) -> None:
        call_id = _string(item, "call_id", where)
        self._answered([ToolUse(call_id, name, arguments)])

    def _output(self, item: Item, parts: Sequence[Part], where: str) -> None:
        call_id = _string(item, "call_id", where)
        self._add("user", ToolResult(call_id, result_parts(parts, f"{where}.output")))

    def _answered(self, blocks: Sequence[Block]) -> None:
        """The assistant's, behind the thoughts that led to it."""
        if blocks:
            self._add("assistant", *self._thoughts, *blocks)

    def _add(self, role: Role, *blocks: Block) -> None:
        self._thoughts.clear()
        if blocks:
            self._messages.append(Turn(role, blocks))


def kind_of(item: Item) -> str | None:
    """The type of an item; two may come without."""
    match item:
        case {"object": "response"}:
            return "response"
        case {"type": str(kind)}:
            return kind
        case {"role": _}:
            return "message"
        case {"id": _} if item.keys() <= {"id", "type"}:
            return "item_reference"
    return None


def found_tools(item: Item, where: str) -> list[Any]:
    """The tools that an item brings: they may come within the input, too."""
    tools = item.get("tools")
    if not isinstance(tools, list):
        raise bad(f"{where}.tools", "must be a list of tools")
    return tools


def resolved(items: Sequence[Any], known: Mapping[str, Item]) -> list[Any]:
    """The items with those that are known in the place of references to them, each once: a thousand references to one
    long item would be a very long request."""
    used: set[str] = set()
    whole = []
    for number, item in enumerate(items):
        id_ = str(item.get("id")) if isinstance(item, Mapping) and kind_of(item) == "item_reference" else ""
        if id_ in used:
            raise bad(f"input.{number}", f"refers once more to {id_[:80]!r}")
        if id_ in known:
            used.add(id_)
            item = known[id_]
        whole.append(item)
    return whole


def unknown_item(id_: str, where: str) -> ApiError:
    return ApiError(
        404,
        "validation_error",
        f"{where}: there is no stored item {id_[:80]!r}; only items of responses that were stored can be referred to",
        code="invalid_request_error",
        param=where,
    )


def _string(item: Item, name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise bad(f"{where}.{name}", "must be a string")
    return value
