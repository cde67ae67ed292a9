"""Dify's provider for APIs that are compatible with OpenAI: the class itself, as Dify runs it."""

import json
from collections.abc import Iterator
from typing import Any

from common import CITY, KEY, MODEL, URL, run, weather
from dify_plugin import OAICompatLargeLanguageModel
from dify_plugin.entities.model.message import PromptMessageTool, ToolPromptMessage, UserPromptMessage

credentials = {"endpoint_url": f"{URL}/v1", "api_key": KEY, "mode": "chat", "function_calling_type": "tool_call"}


class Provider(OAICompatLargeLanguageModel):
    def _get_num_tokens_by_gpt2(self, text: str) -> int:
        """Estimate the tokens; the provider itself would fetch a vocabulary from another host to count them."""
        return len(text) // 4


provider: Any = Provider([])
TOOL = PromptMessageTool(name="weather", description="The weather", parameters=CITY)


def invoke(messages: list[Any], **options: Any) -> Any:
    return provider._invoke(MODEL, credentials, messages, {"max_tokens": 1000}, **options)


def chat(prompt: str) -> str:
    provider.validate_credentials(MODEL, credentials)
    return invoke([UserPromptMessage(content=prompt)], stream=False).message.content


def stream(prompt: str) -> Iterator[str]:
    for chunk in invoke([UserPromptMessage(content=prompt)], stream=True):
        yield chunk.delta.message.content


def tools(prompt: str) -> str:
    messages: list[Any] = [UserPromptMessage(content=prompt)]
    first = invoke(messages, tools=[TOOL], stream=False).message
    messages.append(first)
    for call in first.tool_calls:
        result = weather(**json.loads(call.function.arguments))
        messages.append(ToolPromptMessage(content=result, tool_call_id=call.id, name="weather"))
    return invoke(messages, tools=[TOOL], stream=False).message.content


run(chat, stream, tools)
