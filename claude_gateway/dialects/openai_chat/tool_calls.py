"""Convert the tool calls in the messages of a chat request. No I/O."""

from collections.abc import Iterator, Sequence

from claude_gateway.dialects.common.tools.call_arguments import parse_call_arguments
from claude_gateway.dialects.common.tools.custom_tools import parse_custom_input
from claude_gateway.dialects.openai_chat.custom_tools import CustomTools
from claude_gateway.dialects.openai_chat.schema import ChatMessage, ChatToolCall
from workers.core.job import ToolUse


def parse_tool_calls(
    message: ChatMessage, field_path: str, custom_tools: CustomTools, notes: list[str]
) -> list[ToolUse]:
    """Return the tool calls of a message. Add a warning for each call whose arguments are not valid."""
    return [
        _parse_call(call, custom_tools, f"{field_path}.tool_calls.{index}", notes)
        for index, call in enumerate(message.tool_calls or ())
    ]


def assign_call_ids(messages: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    """Yield the messages. Add an id to each call that has none, and add the call id to each tool message that has none.

    A tool message contains the result of a call, and may name the called function. A tool message without an id gets
    the id of the first call of this function that has no result yet. If there is no such call, the tool message gets
    the id of the first call without a result.
    """
    pending: list[ChatToolCall] = []
    for number, message in enumerate(messages):
        if message.role == "assistant" and message.tool_calls:
            pending = [
                call if call.id else call.model_copy(update={"id": f"call_{number}_{index}"})
                for index, call in enumerate(message.tool_calls)
            ]
            message = message.model_copy(update={"tool_calls": list(pending)})
        elif message.role == "tool":
            call = _find_pending_call(message, pending)
            if call is not None:
                pending.remove(call)
                message = message.model_copy(update={"tool_call_id": call.id})
        yield message


def _find_pending_call(tool_message: ChatMessage, pending: Sequence[ChatToolCall]) -> ChatToolCall | None:
    if tool_message.tool_call_id:
        return next((call for call in pending if call.id == tool_message.tool_call_id), None)
    function_calls = [call for call in pending if call.function and call.function.name == tool_message.name]
    return next(iter(function_calls or pending), None)


def _parse_call(call: ChatToolCall, custom_tools: CustomTools, field_path: str, notes: list[str]) -> ToolUse:
    if call.function is None:
        assert call.custom is not None  # the schema requires a function or a custom tool
        return ToolUse(call.id, call.custom.name, parse_custom_input(call.custom.input))
    name, arguments = call.function.name, call.function.arguments
    if name in custom_tools:
        return ToolUse(call.id, name, parse_custom_input(arguments))
    return ToolUse(call.id, name, parse_call_arguments(arguments, f"{field_path}.function.arguments", notes))
