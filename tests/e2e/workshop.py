"""A gateway whose Claude does as it is told: the model's part is scripted, the tools and their box are real."""

import json
from typing import Any

from tests.e2e.conftest import Gateway

MOST_SECONDS = 30


def call(tool: str, **arguments: Any) -> str:
    """The words that make the stand-in call a tool."""
    return f"{{{{tool {tool} {json.dumps(arguments)}}}}}"


def bash(command: str, **arguments: Any) -> str:
    return call("Bash", command=command, **arguments)


async def result_of(gateway: Gateway, words: str, session: str | None = None, **parameters: Any) -> str:
    """What the tool told the model, as it came to the upstream."""
    extra = {"enable_tools": True} | ({"session_id": session} if session else {}) | parameters
    await gateway.ask(words, extra_body=extra)
    content = gateway.upstream.chats[-1].body["messages"][-1]["content"]
    results = [block["content"] for block in content if block["type"] == "tool_result"]
    assert results, content
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in results)
