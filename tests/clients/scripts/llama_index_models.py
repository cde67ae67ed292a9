"""LlamaIndex's models for servers that are compatible with OpenAI: `llama_index_models.py PROVIDER SCENARIO PROMPT`."""

import sys
from collections.abc import Iterator
from typing import Any

from common import KEY, MODEL, URL, run, weather
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool

# Both classes know only OpenAI's models and need the context window of any other.
match sys.argv.pop(1):
    case "chat":
        from llama_index.llms.openai_like import OpenAILike

        model: Any = OpenAILike(
            model=MODEL,
            api_base=f"{URL}/v1",
            api_key=KEY,
            is_chat_model=True,
            is_function_calling_model=True,
            context_window=200_000,
            max_retries=0,
        )
    case "responses":
        from llama_index.llms.openai_like import OpenAILikeResponses

        model = OpenAILikeResponses(
            model=MODEL,
            api_base=f"{URL}/v1",
            api_key=KEY,
            is_chat_model=True,
            is_function_calling_model=True,
            context_window=200_000,
            max_retries=0,
        )


def chat(prompt: str) -> str:
    return model.chat([ChatMessage(role="user", content=prompt)]).message.content or ""


def stream(prompt: str) -> Iterator[str | None]:
    for response in model.stream_chat([ChatMessage(role="user", content=prompt)]):
        yield response.delta


def tools(prompt: str) -> str:
    weather_tool = FunctionTool.from_defaults(weather)
    messages = [ChatMessage(role="user", content=prompt)]
    first = model.chat_with_tools([weather_tool], chat_history=messages)
    messages.append(first.message)
    for call in model.get_tool_calls_from_response(first):
        result = weather(**call.tool_kwargs)
        messages.append(ChatMessage(role="tool", content=result, additional_kwargs={"tool_call_id": call.tool_id}))
    return model.chat_with_tools([weather_tool], chat_history=messages).message.content or ""


run(chat, stream, tools)
