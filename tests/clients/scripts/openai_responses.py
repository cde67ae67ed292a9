"""The openai package, with Responses."""

import json
from collections.abc import Iterator
from typing import Any

from common import CITY, KEY, MODEL, URL, run, weather
from openai import OpenAI

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
TOOL: Any = {"type": "function", "name": "weather", "description": "The weather", "parameters": CITY, "strict": False}


def chat(prompt: str) -> str:
    return client.responses.create(model=MODEL, input=prompt).output_text


def stream(prompt: str) -> Iterator[str]:
    with client.responses.stream(model=MODEL, input=prompt) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                yield event.delta
        events.get_final_response()


def tools(prompt: str) -> str:
    first = client.responses.create(model=MODEL, input=prompt, tools=[TOOL])
    outputs: Any = [
        {"type": "function_call_output", "call_id": item.call_id, "output": weather(**json.loads(item.arguments))}
        for item in first.output
        if item.type == "function_call"
    ]
    return client.responses.create(model=MODEL, input=outputs, tools=[TOOL], previous_response_id=first.id).output_text


run(chat, stream, tools)
