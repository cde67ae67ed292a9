"""OpenAI's first form of tools, `functions`, read as the later one. Pure.

It knows no ids and one call a message: the answer to a call is the next message of role `function`.
"""

from typing import Any

from claude_gateway.dialects.openai_chat.wire import ChatRequest, Message, ToolCall
from claude_gateway.prompt.conversation import bad


def is_legacy(request: ChatRequest) -> bool:
    """Whether the caller expects calls as `function_call` too."""
    return bool(request.functions) and not request.tools


def modern(request: ChatRequest) -> ChatRequest:
    """The same request in tools and tool calls."""
    changes: dict[str, Any] = {"messages": _messages(request.messages)}
    if is_legacy(request):
        changes |= {"tools": request.functions, "parallel_tool_calls": False}
        match request.function_call:
            case "none" | "auto" as word:
                changes["tool_choice"] = word
            case {"name": str()} as named:
                changes["tool_choice"] = {"type": "function", "function": named}
            case None:
                pass
            case _:
                raise bad("function_call", "must be none, auto, or an object with a name")
    return request.model_copy(update=changes)


def _messages(messages: list[Message]) -> list[Message]:
    changed = []
    last = None
    for number, message in enumerate(messages):
        if message.function_call is not None and not message.tool_calls:
            last = f"call_{number}"
            call = ToolCall(id=last, function=message.function_call)
            message = message.model_copy(update={"tool_calls": [call]})
        elif message.role == "function":
            # The answer to no call goes by the name of its function.
            id_ = last or (message.name if isinstance(message.name, str) else "") or "function"
            message = message.model_copy(update={"role": "tool", "tool_call_id": id_})
        changed.append(message)
    return changed
