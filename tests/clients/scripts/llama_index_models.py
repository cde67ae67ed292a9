"""LlamaIndex's models for any server that speaks OpenAI: `llama_index_models.py PROVIDER VERB PROMPT`."""

import sys
from collections.abc import Iterator
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from verbs import KEY, MODEL, URL, run, weather

# Both know the models of OpenAI alone, and must be told the size of another one.
match sys.argv.pop(1):
    case "chat":
        from llama_index.llms.openai_like import OpenAILike

        chosen: Any = OpenAILike(
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

        chosen = OpenAILikeResponses(
            model=MODEL,
            api_base=f"{URL}/v1",
            api_key=KEY,
            is_chat_model=True,
            is_function_calling_model=True,
            context_window=200_000,
            max_retries=0,
        )


def chat(prompt: str) -> str:
    return chosen.chat([ChatMessage(role="user", content=prompt)]).message.content or ""


def stream(prompt: str) -> Iterator[str | None]:
    for response in chosen.stream_chat([ChatMessage(role="user", content=prompt)]):
        yield response.delta


def tools(prompt: str) -> str:
    own = FunctionTool.from_defaults(weather)
    messages = [ChatMessage(role="user", content=prompt)]
    first = chosen.chat_with_tools([own], chat_history=messages)
    messages.append(first.message)
    for call in chosen.get_tool_calls_from_response(first):
        result = weather(**call.tool_kwargs)
        messages.append(ChatMessage(role="tool", content=result, additional_kwargs={"tool_call_id": call.tool_id}))
    return chosen.chat_with_tools([own], chat_history=messages).message.content or ""


run(chat, stream, tools)
