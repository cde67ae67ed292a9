"""Hosted tools, which the client's provider would run, are replaced by built-in tools, in every dialect."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.message import SEARCH_RESULT
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway
from tests.e2e.helpers.tool_directives import bash_directive, tool_directive
from tests.installed import SANDBOX_PROGRAMS, require_programs

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SEARCHES = "{{say I search.}}" + tool_directive("WebSearch", query="aiohttp release") + "{{then}}{{say Found.}}"
RUNS = "{{say I count.}}" + bash_directive("echo $((6 * 7))") + "{{then}}{{say Counted.}}"
FUNCTION = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}


@pytest_asyncio.fixture(loop_scope="module")
async def http(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    require_programs(SANDBOX_PROGRAMS)
    async with aiohttp.ClientSession(gateway.url, headers={"authorization": f"Bearer {API_KEY}"}) as session:
        yield session


def chat(prompt: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **fields}


def responses(prompt: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"model": MODEL, "input": prompt, "tools": list(tools)}


def messages(prompt: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {"model": MODEL, "max_tokens": 900, "messages": [{"role": "user", "content": prompt}], "tools": list(tools)}
    return "/v1/messages", body


def gemini(prompt: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "tools": list(tools)}
    return f"/v1beta/models/{MODEL}:generateContent", body


def agent_chat(prompt: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", responses(prompt, *tools)[1]


async def ask(http: aiohttp.ClientSession, request: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    """Send a request, and return the whole response text and its warnings."""
    path, body = request
    async with http.post(path, json=body) as response:
        text = await response.text()
        assert response.status == 200, text
        return text, response.headers.get("x-gateway-warnings", "")


@pytest.mark.promise("tools.hosted")
@pytest.mark.parametrize(
    "request_",
    [
        chat(SEARCHES, web_search_options={}),
        responses(SEARCHES, {"type": "web_search"}),
        agent_chat(SEARCHES, {"type": "web_search_preview"}),
        messages(SEARCHES, {"type": "web_search_20250305", "name": "web_search"}),
        gemini(SEARCHES, {"googleSearch": {}}),
    ],
    ids=["chat", "responses", "agent-chat", "messages", "gemini"],
)
async def test_hosted_search_becomes_the_builtin_search(
    gateway: Gateway, http: aiohttp.ClientSession, request_: tuple[str, dict[str, Any]]
) -> None:
    text, warnings = await ask(http, request_)
    assert "I search." in text
    assert "Found." in text
    assert "to Claude's built-in tool WebSearch" in warnings
    request, search_request, result_request = gateway.upstream.chat_requests
    assert [tool["name"] for tool in request.body["tools"]] == ["WebSearch"]
    # The CLI itself sends the search as a request of its own.
    assert search_request.body["tools"][0]["type"].startswith("web_search_")
    assert "aiohttp release" in str(search_request.body["messages"])
    assert SEARCH_RESULT["url"] in str(result_request.body["messages"][-1])


@pytest.mark.parametrize(
    ("dialect", "request_"),
    [
        ("chat", chat("hi", web_search_options={})),
        ("responses", responses("hi", {"type": "web_search"})),
        ("messages", messages("hi", {"type": "web_search_20250305", "name": "web_search"})),
        ("gemini", gemini("hi", {"googleSearch": {}})),
    ],
    ids=["chat", "responses", "messages", "gemini"],
)
async def test_compatibility_report_matches_the_job(
    gateway: Gateway, http: aiohttp.ClientSession, dialect: str, request_: tuple[str, dict[str, Any]]
) -> None:
    _, body = request_
    report, _ = await ask(http, (f"/v1/compatibility?dialect={dialect}", body))
    assert "to Claude's built-in tool WebSearch" in report
    debug, _ = await ask(http, (f"/v1/debug/request?dialect={dialect}", body))
    agent_options = json.loads(debug)["job"]["agent_options"]
    assert agent_options["builtin_tools"] == ["WebSearch"]
    assert "call_remote_tool" not in agent_options
    assert gateway.upstream.requests == []


@pytest.mark.parametrize(
    "request_",
    [
        responses(RUNS, {"type": "code_interpreter", "container": {"type": "auto"}}),
        messages(RUNS, {"type": "code_execution_20250825", "name": "code_execution"}),
        gemini(RUNS, {"code_execution": {}}),
    ],
    ids=["responses", "messages", "gemini"],
)
async def test_hosted_code_execution_runs_in_the_sandbox(
    gateway: Gateway, http: aiohttp.ClientSession, request_: tuple[str, dict[str, Any]]
) -> None:
    text, warnings = await ask(http, request_)
    assert "Counted." in text
    assert "to Claude's built-in tool Bash" in warnings
    (result,) = [
        block
        for block in gateway.upstream.chat_requests[-1].body["messages"][-1]["content"]
        if block["type"] == "tool_result"
    ]
    assert result["content"].startswith("42")


async def test_hosted_fetch_is_refused_with_a_reason(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    for request in (gemini("hi", {"urlContext": {}}), messages("hi", {"type": "web_fetch_20250910", "name": "f"})):
        _, warnings = await ask(http, request)
        assert "private addresses" in warnings
        assert gateway.upstream.chat_requests[-1].body.get("tools", []) == []


async def test_hosted_tools_are_ignored_beside_client_tools(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    _, warnings = await ask(http, responses("hi", {"type": "web_search"}, FUNCTION))
    assert "the request has client tools" in warnings
    assert [tool["name"] for tool in gateway.upstream.chat_requests[-1].body["tools"]] == ["own"]
