"""No event of a stream contains a character at which a client could split its line."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import Database
from claude_gateway.stored_responses.response_store import ResponseLimits, ResponseStore
from claude_gateway.stored_responses.service import ResponseService
from tests.claude_gateway.scripted import MODEL, STARTED, ScriptedPool, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolInputDelta,
)
from workers.core.job import Text, ThinkingBlock, ToolUse

# Every character at which `str.splitlines` splits. In ODD_TEXT they stand between characters of one to four bytes.
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
ODD_TEXT = "aé✅😀".join(LINE_ENDS)
MESSAGE = {"role": "user", "content": "hi"}
TOOL_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
GEMINI = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": TOOL_SCHEMA}]}],
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
}
REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        "/v1/chat/completions",
        {"messages": [MESSAGE], "tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL_SCHEMA}}]},
    ),
    "chat-choices": ("/v1/chat/completions", {"messages": [MESSAGE], "n": 2}),
    "responses": (
        "/v1/responses",
        {"input": "hi", "store": False, "tools": [{"type": "function", "name": "f", "parameters": TOOL_SCHEMA}]},
    ),
    "messages": (
        "/v1/messages",
        {"max_tokens": 9, "messages": [MESSAGE], "tools": [{"name": "f", "input_schema": TOOL_SCHEMA}]},
    ),
    "gemini-events": (f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", GEMINI),
    "gemini-array": (f"/v1beta/models/{MODEL}:streamGenerateContent", GEMINI),
}
REPLY_EVENTS: tuple[Event, ...] = (
    STARTED,
    *(BlockStarted(ThinkingBlock("", "")), ThinkingDelta(ODD_TEXT), SignatureDelta("c2ln"), BlockEnded()),
    *(BlockStarted(Text("")), TextDelta(ODD_TEXT), TextDelta(LINE_ENDS), BlockEnded()),
    *(BlockStarted(ToolUse("call_1", "f", {})), ToolInputDelta(orjson.dumps({"a": ODD_TEXT}).decode()), BlockEnded()),
    Finished("tool_use", TokenUsage()),
)
LIMITS = SessionLimits(ttl_seconds=3600, max_sessions_per_key=9, max_bytes_per_session=9_000, max_bytes_per_key=9_000)
every_stream = pytest.mark.parametrize("name", REQUESTS)


async def send_request(client: Client, name: str) -> ClientResponse:
    path, body = REQUESTS[name]
    return await client.post(path, json={"model": MODEL, "stream": True, **body})


async def read_messages(response: ClientResponse) -> list[Any]:
    """Return the messages as a client reads them that splits lines as Unicode does."""
    text = (await response.read()).decode()
    if response.content_type == "application/json":
        # A client that splits a JSON array into lines reads one element in each line.
        return [orjson.loads(line.strip(",")) for line in text.removeprefix("[").removesuffix("]").splitlines()]
    lines = [line for line in text.splitlines() if line and not line.startswith(("event: ", ":"))]
    assert all(line.startswith("data: ") for line in lines), lines
    return [orjson.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]


def collect_strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in collect_strings(item)]
        case dict():
            return [text for item in value.values() for text in collect_strings(item)]
    return []


def contains_text(messages: list[Any], text: str) -> bool:
    return any(text in value for value in collect_strings(messages))


@every_stream
@pytest.mark.promise("stream.every-parser")
async def test_reply_reaches_client_that_splits_lines_as_unicode_does(serve: Serve, name: str) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*REPLY_EVENTS))

    messages = await read_messages(await send_request(client, name))

    assert contains_text(messages, ODD_TEXT)
    assert contains_text(messages, LINE_ENDS)


@every_stream
async def test_error_after_the_head_reaches_client_that_splits_lines_as_unicode_does(serve: Serve, name: str) -> None:
    error = WorkerError(ErrorKind.INVALID_REQUEST, ODD_TEXT)
    client = await serve(ScriptedWorkerSource.repeating(STARTED, BlockStarted(Text("")), TextDelta("Hel"), error))

    messages = await read_messages(await send_request(client, name))

    assert contains_text(messages[-2:], ODD_TEXT)


async def test_stored_stream_reaches_client_that_splits_lines_as_unicode_does(serve: Serve, database: Database) -> None:
    responses = ResponseService(
        ResponseStore(database, ResponseLimits(ttl_seconds=3600, max_responses=9, max_bytes=10**6)),
        b"the key of the tests",
    )
    client = await serve(ScriptedWorkerSource.repeating(*REPLY_EVENTS), responses=responses)
    path, body = REQUESTS["responses"]
    live = await client.post(path, json={"model": MODEL, **body, "store": True, "background": True, "stream": True})
    live_messages = await read_messages(live)

    stored = await client.get(f"{path}/{live_messages[0]['response']['id']}?stream=true")

    assert stored.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert await read_messages(stored) == live_messages
    assert contains_text(live_messages, ODD_TEXT)


async def test_live_snapshot_reaches_client_that_splits_lines_as_unicode_does(
    serve_admin: Serve, database: Database
) -> None:
    sessions = SessionService(SessionStore(database), LIMITS, SessionLocks(1, 1))
    client = await serve_admin(None, ScriptedPool(counts={ODD_TEXT: 1}), sessions=sessions)

    async with client.get("/v1/admin/live") as response:
        event = (await response.content.readuntil(b"\n\n")).decode()

    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    _, data = event.splitlines()[:2]
    assert orjson.loads(data.removeprefix("data: "))["workers"][0]["phase"] == ODD_TEXT


@every_stream
@pytest.mark.promise("stream.every-parser")
async def test_stream_declares_utf_8(serve: Serve, name: str) -> None:
    client = await serve()

    response = await send_request(client, name)

    content_type = "application/json" if name == "gemini-array" else "text/event-stream; charset=utf-8"
    assert response.headers["Content-Type"] == content_type
