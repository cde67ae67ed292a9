"""Directives that make the fake model call built-in tools; the tools and their sandbox are real."""

import json
from typing import Any

from tests.e2e.helpers.gateway import Gateway

MAX_SECONDS = 30


def tool_directive(tool: str, **arguments: Any) -> str:
    """Return the directive that makes the fake Anthropic API call a tool."""
    return f"{{{{tool {tool} {json.dumps(arguments)}}}}}"


def bash_directive(command: str, **arguments: Any) -> str:
    return tool_directive("Bash", command=command, **arguments)


async def get_tool_result(gateway: Gateway, prompt: str, session_id: str | None = None, **parameters: Any) -> str:
    """Return the result of the tool, as the upstream received it."""
    extra = {"enable_tools": True} | ({"session_id": session_id} if session_id else {}) | parameters
    await gateway.ask(prompt, extra_body=extra)
    content = gateway.upstream.chat_requests[-1].body["messages"][-1]["content"]
    results = [block["content"] for block in content if block["type"] == "tool_result"]
    assert results, content
    return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in results)
