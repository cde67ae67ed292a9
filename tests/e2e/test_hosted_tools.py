"""Tools that a caller's own provider would run, done by Claude's own, in every dialect."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from claude_gateway.demo.message import FOUND
from tests.e2e.conftest import API_KEY, MODEL, Gateway
from tests.e2e.workshop import bash, call
from tests.installed import SANDBOX, need

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SEARCHES = "{{say I search.}}" + call("WebSearch", query="aiohttp release") + "{{then}}{{say Found.}}"
RUNS = "{{say I count.}}" + bash("echo $((6 * 7))") + "{{then}}{{say Counted.}}"
FUNCTION = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}


@pytest_asyncio.fixture(loop_scope="module")
async def http(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    need(SANDBOX)
    async with aiohttp.ClientSession(gateway.url, headers={"authorization": f"Bearer {API_KEY}"}) as session:
        yield session


def chat(words: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": words}], **more}


def responses(words: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"model": MODEL, "input": words, "tools": list(tools)}


def messages(words: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {"model": MODEL, "max_tokens": 900, "messages": [{"role": "user", "content": words}], "tools": list(tools)}
    return "/v1/messages", body


def gemini(words: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {"contents": [{"role": "user", "parts": [{"text": words}]}], "tools": list(tools)}
    return f"/v1beta/models/{MODEL}:generateContent", body


def agent_chat(words: str, *tools: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", responses(words, *tools)[1]


async def ask(http: aiohttp.ClientSession, request: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    """The whole answer as it came, and its warnings."""
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
async def test_a_search_of_the_provider_s_is_one_of_claude_s_own(
    gateway: Gateway, http: aiohttp.ClientSession, request_: tuple[str, dict[str, Any]]
) -> None:
    answer, warnings = await ask(http, request_)
    assert "I search." in answer
    assert "Found." in answer
    assert "done by Claude's own WebSearch" in warnings
    asked, searched, told = gateway.upstream.chats
    assert [tool["name"] for tool in asked.body["tools"]] == ["WebSearch"]
    # The search itself is a request that the CLI makes by itself.
    assert searched.body["tools"][0]["type"].startswith("web_search_")
    assert "aiohttp release" in str(searched.body["messages"])
    assert FOUND["url"] in str(told.body["messages"][-1])


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
async def test_a_report_tells_of_them_as_the_job_would_have_them(
    gateway: Gateway, http: aiohttp.ClientSession, dialect: str, request_: tuple[str, dict[str, Any]]
) -> None:
    _, body = request_
    report, _ = await ask(http, (f"/v1/compatibility?dialect={dialect}", body))
    assert "done by Claude's own WebSearch" in report
    debug, _ = await ask(http, (f"/v1/debug/request?dialect={dialect}", body))
    work = json.loads(debug)["job"]["work"]
    assert work["tools"] == ["WebSearch"]
    assert "call" not in work
    assert gateway.upstream.received == []


@pytest.mark.parametrize(
    "request_",
    [
        responses(RUNS, {"type": "code_interpreter", "container": {"type": "auto"}}),
        messages(RUNS, {"type": "code_execution_20250825", "name": "code_execution"}),
        gemini(RUNS, {"code_execution": {}}),
    ],
    ids=["responses", "messages", "gemini"],
)
async def test_code_that_the_provider_would_run_runs_in_the_sandbox(
    gateway: Gateway, http: aiohttp.ClientSession, request_: tuple[str, dict[str, Any]]
) -> None:
    answer, warnings = await ask(http, request_)
    assert "Counted." in answer
    assert "done by Claude's own Bash" in warnings
    (result,) = [
        block for block in gateway.upstream.chats[-1].body["messages"][-1]["content"] if block["type"] == "tool_result"
    ]
    assert result["content"].startswith("42")


async def test_a_page_is_never_fetched_and_the_caller_reads_why(gateway: Gateway, http: aiohttp.ClientSession) -> None:
    for request in (gemini("hi", {"urlContext": {}}), messages("hi", {"type": "web_fetch_20250910", "name": "f"})):
        _, warnings = await ask(http, request)
        assert "private addresses" in warnings
        assert gateway.upstream.chats[-1].body.get("tools", []) == []


async def test_beside_functions_of_the_caller_s_they_are_left_out(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    _, warnings = await ask(http, responses("hi", {"type": "web_search"}, FUNCTION))
    assert "functions of its own" in warnings
    assert [tool["name"] for tool in gateway.upstream.chats[-1].body["tools"]] == ["own"]
