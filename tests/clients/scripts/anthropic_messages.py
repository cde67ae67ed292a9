"""The anthropic package."""

from collections.abc import Iterator
from typing import Any

from anthropic import Anthropic
from common import CITY, KEY, MODEL, URL, run, weather

client = Anthropic(base_url=URL, api_key=KEY, max_retries=0)
TOOL: Any = {"name": "weather", "description": "The weather", "input_schema": CITY}


def create_message(messages: list[Any], **options: Any) -> Any:
    return client.messages.create(model=MODEL, max_tokens=1000, messages=messages, **options)


def message_text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def chat(prompt: str) -> str:
    return message_text(create_message([{"role": "user", "content": prompt}]))


def stream(prompt: str) -> Iterator[str]:
    messages: Any = [{"role": "user", "content": prompt}]
    with client.messages.stream(model=MODEL, max_tokens=1000, messages=messages) as events:
        yield from events.text_stream
        events.get_final_message()


def tools(prompt: str) -> str:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    first = create_message(messages, tools=[TOOL])
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": weather(**block.input)}
        for block in first.content
        if block.type == "tool_use"
    ]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    return message_text(create_message(messages, tools=[TOOL]))


run(chat, stream, tools)
