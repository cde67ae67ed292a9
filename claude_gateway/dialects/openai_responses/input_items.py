"""Convert the input items of a Responses request to the messages of a conversation. No I/O.

An input item is a message, a tool call, a tool output or another entry in `input`. If an item is invalid, the functions
raise `ApiError` with the field path of the item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.dialects.common.content.block_text import render_as_text
from claude_gateway.dialects.common.content.blocks import check_result_parts, note_conversion
from claude_gateway.dialects.common.content.conversation import build_system_reminder
from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner, verify_thinking
from claude_gateway.dialects.common.tools.call_arguments import parse_call_arguments
from claude_gateway.dialects.common.tools.custom_tools import parse_custom_input
from claude_gateway.dialects.common.tools.deferred_tools import format_tool_reference
from claude_gateway.dialects.openai_responses.content_parts import ContentPart, parse_action_output, parse_content
from claude_gateway.dialects.openai_responses.tools import TOOL_SEARCH, Toolset, list_function_names
from workers.core.job import Block, RedactedThinkingBlock, Role, Text, ThinkingBlock, ToolResult, ToolUse, Turn

InputItem = Mapping[str, Any]

_NO_TOOL_FOUND_TEXT = "No tool was found."
# Types of items that only concern definitions of tools.
_TOOL_LIST_TYPES = ("mcp_list_tools", "tool_search_call", "tool_search_output")
_USER_ITEM_SUFFIXES = ("_output", "_response")


@dataclass(frozen=True, slots=True)
class ConversationMessages:
    """The texts of a system prompt, and the messages of a conversation in order.

    Successive messages may have the same role. The class `ConversationBuilder` merges such messages later.
    """

    system: tuple[str, ...] = ()
    messages: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseHistory:
    """The stored data that a request needs. It consists of the earlier conversation and of the referenced items.

    Attributes:
        conversation: The messages of the previous responses.
        referenced_items: The stored items to which the request refers, by item id.
        size_bytes: The approximate size of the stored data.
    """

    conversation: ConversationMessages = ConversationMessages()
    referenced_items: Mapping[str, InputItem] = field(default_factory=dict)
    size_bytes: int = 0


EMPTY_RESPONSE_HISTORY = ResponseHistory()


class InputItemParser:
    """Converts the input items of one request to messages.

    Args:
        history: The stored data that the request continues.
        toolset: The tools of the request.
        signer: Verifies the signed thinking that the client sends back.
        notes: The list to which the parser adds warnings for the client.
    """

    def __init__(self, history: ResponseHistory, toolset: Toolset, signer: ThinkingSigner, notes: list[str]) -> None:
        self._history = history
        self._toolset = toolset
        self._signer = signer
        self._notes = notes
        self._system: list[str] = []
        self._messages: list[Turn] = []
        # Thinking blocks that the parser puts before the next assistant blocks. If no assistant blocks follow, it
        # drops the thinking blocks.
        self._pending_thinking: list[ThinkingBlock | RedactedThinkingBlock] = []

    def parse(self, items: Sequence[Any]) -> ConversationMessages:
        """Convert all items to messages and to texts for the system prompt."""
        for number, item in enumerate(items):
            self._parse_item(item, f"input.{number}")
        return ConversationMessages(tuple(self._system), tuple(self._messages))

    def _parse_item(self, item: Any, field_path: str) -> None:
        if not isinstance(item, Mapping):
            raise bad_request(field_path, "an item must be an object")
        match get_item_type(item):
            case "message":
                self._parse_message(item, field_path)
            case "reasoning":
                self._parse_reasoning(item, field_path)
            case "function_call":
                self._add_call(
                    item, self._get_function_name(item, field_path), self._parse_arguments(item, field_path), field_path
                )
            case "custom_tool_call":
                self._add_call(
                    item, self._get_function_name(item, field_path), parse_custom_input(item.get("input")), field_path
                )
            case "local_shell_call" | "shell_call" | "apply_patch_call" | "computer_call" as kind if item.get(
                "call_id"
            ):
                action = next((item[name] for name in ("action", "operation", "actions") if item.get(name)), None)
                action = {"actions": action} if isinstance(action, list) else action
                arguments = parse_call_arguments(action, f"{field_path}.action", self._notes)
                self._add_call(item, kind.removesuffix("_call"), arguments, field_path)
            case "local_shell_call_output" | "shell_call_output" | "apply_patch_call_output" | "computer_call_output":
                # In OpenAI's type `local_shell_call_output`, the field `id` contains the call id.
                output_item = {**item, "call_id": item.get("call_id") or item.get("id")}
                self._add_output(output_item, parse_action_output(item, field_path), field_path)
            case "tool_search_call" if item.get("call_id"):
                self._add_call(item, TOOL_SEARCH, self._parse_arguments(item, field_path), field_path)
            case "function_call_output" | "custom_tool_call_output":
                self._add_output(item, parse_content(item.get("output"), f"{field_path}.output"), field_path)
            case "tool_search_output" if item.get("call_id"):
                function_names = list_function_names(get_item_tools(item, field_path))
                text = "\n".join(map(format_tool_reference, function_names)) or _NO_TOOL_FOUND_TEXT
                self._add_output(item, [Text(text)], field_path)
            case "item_reference":
                raise unknown_item_error(
                    str(item.get("id")), field_path
                )  # `resolve_references` has replaced the known references
            case "additional_tools":
                pass  # the toolset already contains the tools of this item
            case "response":
                raise bad_request(
                    field_path, "a response is not an item; send the items of its `output`, or previous_response_id"
                )
            case None:
                raise bad_request(field_path, "an item must have a type or a role")
            case kind:
                self._parse_other_item(kind, item, field_path)

    def _parse_message(self, item: InputItem, field_path: str) -> None:
        parts = parse_content(item.get("content"), f"{field_path}.content")
        parts = [part for part in parts if not isinstance(part, Text) or part.text.strip()]
        match item.get("role"):
            case "user":
                self._add_turn("user", *parts)
            case "assistant":
                self._add_assistant_blocks(self._select_texts(parts, field_path))
            case "system" | "developer":
                texts = [part.text for part in self._select_texts(parts, field_path)]
                if self._messages or self._history.conversation.messages:
                    self._add_turn("user", *map(build_system_reminder, texts))
                else:
                    self._system += texts
            case _:
                raise bad_request(f"{field_path}.role", "must be user, assistant, system or developer")

    def _select_texts(self, parts: Sequence[ContentPart], field_path: str) -> list[Text]:
        texts = [part for part in parts if isinstance(part, Text)]
        if len(texts) < len(parts):
            self._notes.append(f"{field_path}: omitted images and files (Claude only accepts them in user messages)")
        return texts

    def _parse_other_item(self, kind: str, item: InputItem, field_path: str) -> None:
        """Convert to text an item that is a call of a hosted tool, or that has an unknown type."""
        rendered_text = "" if kind in _TOOL_LIST_TYPES else render_as_text(kind[:60], item)
        note_conversion(kind, rendered_text, field_path, self._notes, "an item")
        if rendered_text and kind.endswith(_USER_ITEM_SUFFIXES):
            self._add_turn("user", Text(rendered_text))
        elif rendered_text:
            self._add_assistant_blocks([Text(f"\n{rendered_text}\n")])

    def _parse_reasoning(self, item: InputItem, field_path: str) -> None:
        match item.get("encrypted_content"):
            case str(signed) if thinking_blocks := verify_thinking(signed, self._signer):
                self._pending_thinking += thinking_blocks
            case None:
                pass  # the item only has a summary for display, and the model only accepts signed thinking
            case _:
                self._notes.append(f"{field_path}: omitted reasoning (this gateway did not sign it)")

    def _get_function_name(self, item: InputItem, field_path: str) -> str:
        namespace = item.get("namespace")
        return self._toolset.get_function_name(
            _require_string(item, "name", field_path), namespace if isinstance(namespace, str) else None
        )

    def _parse_arguments(self, item: InputItem, field_path: str) -> Mapping[str, Any]:
        """Return the arguments of a function call.

        Some editors send a call of a custom tool back as a function call, with the plain input text as its arguments.
        """
        arguments = item.get("arguments", "")
        if self._toolset.is_custom(str(item.get("name"))):
            return parse_custom_input(arguments)
        return parse_call_arguments(arguments, f"{field_path}.arguments", self._notes)

    def _add_call(self, item: InputItem, name: str, arguments: Mapping[str, Any], field_path: str) -> None:
        call_id = _require_string(item, "call_id", field_path)
        self._add_assistant_blocks([ToolUse(call_id, name, arguments)])

    def _add_output(self, item: InputItem, parts: Sequence[ContentPart], field_path: str) -> None:
        call_id = _require_string(item, "call_id", field_path)
        self._add_turn("user", ToolResult(call_id, check_result_parts(parts, f"{field_path}.output")))

    def _add_assistant_blocks(self, blocks: Sequence[Block]) -> None:
        """Add blocks of the assistant to the messages, together with the thinking that comes before them."""
        if blocks:
            self._add_turn("assistant", *self._pending_thinking, *blocks)

    def _add_turn(self, role: Role, *blocks: Block) -> None:
        self._pending_thinking.clear()
        if blocks:
            self._messages.append(Turn(role, blocks))


def get_item_type(item: InputItem) -> str | None:
    """Return the type of an input item, or None if the type is unknown.

    Messages, and references to stored items, may have no field `type`. The function recognizes them by other fields.
    """
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


def get_item_tools(item: InputItem, field_path: str) -> list[Any]:
    """Return the tool definitions that an input item contains."""
    tools = item.get("tools")
    if not isinstance(tools, list):
        raise bad_request(f"{field_path}.tools", "must be a list of tools")
    return tools


def resolve_references(items: Sequence[Any], stored_items: Mapping[str, InputItem]) -> list[Any]:
    """Replace each reference to a stored item with the stored item.

    Raises:
        ApiError: 400 if there are two references to the same item. Otherwise, a short request with a thousand
            references to one long item would become a very long conversation.
    """
    used_ids: set[str] = set()
    resolved = []
    for number, item in enumerate(items):
        id_ = str(item.get("id")) if isinstance(item, Mapping) and get_item_type(item) == "item_reference" else ""
        if id_ in used_ids:
            raise bad_request(f"input.{number}", f"refers to {id_[:80]!r} again; refer to each item only once")
        if id_ in stored_items:
            used_ids.add(id_)
            item = stored_items[id_]
        resolved.append(item)
    return resolved


def unknown_item_error(id_: str, field_path: str) -> ApiError:
    """Return the error with status 404 for a reference to an item that the gateway has not stored."""
    return ApiError(
        404,
        "validation_error",
        f"{field_path}: there is no stored item {id_[:80]!r}; refer only to items of stored responses",
        code="invalid_request_error",
        param=field_path,
    )


def _require_string(item: InputItem, name: str, field_path: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise bad_request(f"{field_path}.{name}", "must be a string")
    return value
