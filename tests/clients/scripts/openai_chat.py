"""The openai package, with Chat Completions."""

import json
from collections.abc import Iterator
from typing import Any

from common import CITY, KEY, MODEL, URL, run, weather
from openai import OpenAI

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
TOOL: Any = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": CITY}}


def user(prompt: str) -> Any:
    return {"role": "user", "content": prompt}


def chat(prompt: str) -> str:
    completion = client.chat.completions.create(model=MODEL, messages=[user(prompt)])
    return completion.choices[0].message.content or ""


def stream(prompt: str) -> Iterator[str]:
    with client.chat.completions.stream(model=MODEL, messages=[user(prompt)]) as events:
        for event in events:
            if event.type == "content.delta":
                yield event.delta


def tools(prompt: str) -> str:
    messages: list[Any] = [user(prompt)]
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0].message
    messages.append(first)
    for call in first.tool_calls or ():
        result = weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0].message.content or ""


run(chat, stream, tools)
