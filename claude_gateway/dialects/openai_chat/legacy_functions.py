"""Convert OpenAI's older parameter `functions` to tools, and older function calls to tool calls. No I/O.

In the older format, calls have no ids, and a message contains at most one call. The next message has the role
`function` and contains the result of the call.
"""

from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.openai_chat.schema import ChatMessage, ChatRequest, ChatToolCall


def is_legacy(request: ChatRequest) -> bool:
    """Return whether the client expects calls in the older field `function_call`."""
    return bool(request.functions) and not request.tools


def upgrade_legacy_functions(request: ChatRequest) -> ChatRequest:
    """Return the request with tools in place of functions, and with tool calls in place of function calls.

    Raises:
        ApiError: 400 if `function_call` is invalid.
    """
    changes: dict[str, Any] = {"messages": _upgrade_messages(request.messages)}
    if is_legacy(request):
        changes |= {"tools": request.functions, "parallel_tool_calls": False}
        match request.function_call:
            case "none" | "auto" as mode:
                changes["tool_choice"] = mode
            case {"name": str()} as function:
                changes["tool_choice"] = {"type": "function", "function": function}
            case None:
                pass
            case _:
                raise bad_request("function_call", "must be `none`, `auto`, or an object with a name")
    return request.model_copy(update=changes)


def _upgrade_messages(messages: list[ChatMessage]) -> list[ChatMessage]:
    upgraded = []
    last_call_id = None
    for number, message in enumerate(messages):
        if message.function_call is not None and not message.tool_calls:
            last_call_id = f"call_{number}"
            call = ChatToolCall(id=last_call_id, function=message.function_call)
            message = message.model_copy(update={"tool_calls": [call]})
        elif message.role == "function":
            # If there is no call for this result, the call id is the name of the function.
            call_id = last_call_id or (message.name if isinstance(message.name, str) else "") or "function"
            message = message.model_copy(update={"role": "tool", "tool_call_id": call_id})
        upgraded.append(message)
    return upgraded
