"""LangChain's chat models of three providers: `langchain_models.py PROVIDER SCENARIO PROMPT`."""

import sys
from collections.abc import Iterator
from typing import Any

from common import KEY, MODEL, URL, run, weather
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool


def create_model(provider: str) -> BaseChatModel:
    match provider:
        case "chat" | "responses":
            from langchain_openai import ChatOpenAI

            return ChatOpenAI(
                model=MODEL, base_url=f"{URL}/v1", api_key=KEY, use_responses_api=provider == "responses", max_retries=0
            )
        case "messages":
            from langchain_anthropic import ChatAnthropic

            return ChatAnthropic(model=MODEL, base_url=URL, api_key=KEY, max_retries=0)
        case "gemini":
            from langchain_google_genai import ChatGoogleGenerativeAI

            return ChatGoogleGenerativeAI(model=MODEL, base_url=URL, google_api_key=KEY, max_retries=1)
    raise ValueError(provider)


model = create_model(sys.argv.pop(1))


def chat(prompt: str) -> str:
    return str(model.invoke(prompt).text)


def stream(prompt: str) -> Iterator[str]:
    for chunk in model.stream(prompt):
        yield str(chunk.text)


def tools(prompt: str) -> str:
    bound = model.bind_tools([tool(weather)])
    messages: list[Any] = [HumanMessage(prompt)]
    first = bound.invoke(messages)
    messages.append(first)
    messages += [ToolMessage(weather(**call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
    return str(bound.invoke(messages).text)


run(chat, stream, tools)
