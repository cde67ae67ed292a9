"""Calls of tools in a chat's history. Pure."""

from collections.abc import Iterator, Sequence

from claude_gateway.dialects.openai_chat.custom import Custom
from claude_gateway.dialects.openai_chat.wire import Message, ToolCall
from claude_gateway.prompt.call_input import read_input
from claude_gateway.prompt.custom_tools import read_custom_input
from workers.job import ToolUse


def calls(message: Message, where: str, custom: Custom, notes: list[str]) -> list[ToolUse]:
    """The calls of a message; `notes` says which arguments were not as they should be."""
    return [
        _call(call, custom, f"{where}.tool_calls.{index}", notes) for index, call in enumerate(message.tool_calls or ())
    ]


def with_ids(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages, each call with an id, and each answer that names no call with the id of the one that it must be
    meant for: the first without an answer, of the function that it names."""
    waiting: list[ToolCall] = []
    for number, message in enumerate(messages):
        if message.role == "assistant" and message.tool_calls:
            waiting = [
                call if call.id else call.model_copy(update={"id": f"call_{number}_{index}"})
                for index, call in enumerate(message.tool_calls)
            ]
            message = message.model_copy(update={"tool_calls": list(waiting)})
        elif message.role == "tool":
            call = _meant(message, waiting)
            if call is not None:
                waiting.remove(call)
                message = message.model_copy(update={"tool_call_id": call.id})
        yield message


def _meant(answer: Message, waiting: Sequence[ToolCall]) -> ToolCall | None:
    if answer.tool_call_id:
        return next((call for call in waiting if call.id == answer.tool_call_id), None)
    of_function = [call for call in waiting if call.function and call.function.name == answer.name]
    return next(iter(of_function or waiting), None)


def _call(call: ToolCall, custom: Custom, where: str, notes: list[str]) -> ToolUse:
    if call.function is None:
        assert call.custom is not None  # it was held to be one of the two
        return ToolUse(call.id, call.custom.name, read_custom_input(call.custom.input))
    name, written = call.function.name, call.function.arguments
    if name in custom:
        return ToolUse(call.id, name, read_custom_input(written))
    return ToolUse(call.id, name, read_input(written, f"{where}.function.arguments", notes))
