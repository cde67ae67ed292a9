"""Calls of tools in a chat's history. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from claude_gateway.dialects.openai_chat.custom import Custom
from claude_gateway.dialects.openai_chat.wire import FunctionCall, Message, ToolCall
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.custom_tools import CUSTOM_INPUT, raw_arguments
from claude_gateway.prompt.tools import is_writable
from workers.job import ToolUse


def calls(message: Message, where: str, custom: Custom) -> list[ToolUse]:
    return [_call(call, custom, f"{where}.tool_calls.{index}") for index, call in enumerate(message.tool_calls or ())]


def _call(call: ToolCall, custom: Custom, where: str) -> ToolUse:
    if call.function is None:
        assert call.custom is not None  # it was held to be one of the two
        return ToolUse(call.id, call.custom.name, {CUSTOM_INPUT: call.custom.input})
    return ToolUse(call.id, call.function.name, _arguments(call.function, custom, where))


def _arguments(called: FunctionCall, custom: Custom, where: str) -> Mapping[str, Any]:
    try:
        value = orjson.loads(called.arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    if called.name in custom:
        return raw_arguments(called.arguments, value)
    if not isinstance(value, dict) or not is_writable(value):
        raise bad(f"{where}.function.arguments", "must be a JSON object in a string")
    return value
