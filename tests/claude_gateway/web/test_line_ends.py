"""No event of any stream holds a character at which a client could split its line."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from claude_gateway.responses.register import Responses
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.stores.db import Database
from claude_gateway.stores.responses import ResponseStore, Room
from claude_gateway.stores.sessions import SessionStore
from tests.claude_gateway.scripted import MODEL, STARTED, ScriptedDispatcher, ScriptedPool
from tests.claude_gateway.web.conftest import Client, Serve
from workers.errors import ErrorKind, WorkerError
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Signed,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import Text, Thought, ToolUse

# Every character at which `str.splitlines` splits; some with letters of one, two, three and four bytes beside them.
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
ODD = "aé✅😀".join(LINE_ENDS)
MESSAGE = {"role": "user", "content": "hi"}
TOOL = {"type": "object", "properties": {"a": {"type": "string"}}}
GEMINI = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": TOOL}]}],
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
}
REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        "/v1/chat/completions",
        {"messages": [MESSAGE], "tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL}}]},
    ),
    "chat-choices": ("/v1/chat/completions", {"messages": [MESSAGE], "n": 2}),
    "responses": (
        "/v1/responses",
        {"input": "hi", "store": False, "tools": [{"type": "function", "name": "f", "parameters": TOOL}]},
    ),
    "messages": (
        "/v1/messages",
        {"max_tokens": 9, "messages": [MESSAGE], "tools": [{"name": "f", "input_schema": TOOL}]},
    ),
    "gemini-events": (f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", GEMINI),
    "gemini-array": (f"/v1beta/models/{MODEL}:streamGenerateContent", GEMINI),
}
ANSWER: tuple[Event, ...] = (
    STARTED,
    *(BlockStarted(Thought("", "")), ThinkingDelta(ODD), Signed("c2ln"), BlockEnded()),
    *(BlockStarted(Text("")), TextDelta(ODD), TextDelta(LINE_ENDS), BlockEnded()),
    *(BlockStarted(ToolUse("call_1", "f", {})), InputDelta(orjson.dumps({"a": ODD}).decode()), BlockEnded()),
    Finished("tool_use", Usage()),
)
LIMITS = SessionLimits(ttl=3600, per_key=9, bytes_each=9_000, bytes_per_key=9_000)
every_stream = pytest.mark.parametrize("name", REQUESTS)


async def ask(client: Client, name: str) -> ClientResponse:
    path, body = REQUESTS[name]
    return await client.post(path, json={"model": MODEL, "stream": True, **body})


async def messages_of(response: ClientResponse) -> list[Any]:
    """What a client reads that splits the stream into lines as Unicode does."""
    text = (await response.read()).decode()
    if response.content_type == "application/json":
        # One that splits this, too, reads an element in each line.
        return [orjson.loads(line.strip(",")) for line in text.removeprefix("[").removesuffix("]").splitlines()]
    lines = [line for line in text.splitlines() if line and not line.startswith(("event: ", ":"))]
    assert all(line.startswith("data: ") for line in lines), lines
    return [orjson.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]


def strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for one in value for text in strings(one)]
        case dict():
            return [text for one in value.values() for text in strings(one)]
    return []


def holds(messages: list[Any], text: str) -> bool:
    return any(text in one for one in strings(messages))


@every_stream
@pytest.mark.promise("stream.every-parser")
async def test_an_answer_reaches_a_client_that_splits_lines_as_unicode_does(serve: Serve, name: str) -> None:
    client = await serve(ScriptedDispatcher.always(*ANSWER))

    messages = await messages_of(await ask(client, name))

    assert holds(messages, ODD)
    assert holds(messages, LINE_ENDS)


@every_stream
async def test_an_error_behind_the_head_reaches_it_too(serve: Serve, name: str) -> None:
    error = WorkerError(ErrorKind.INVALID_REQUEST, ODD)
    client = await serve(ScriptedDispatcher.always(STARTED, BlockStarted(Text("")), TextDelta("Hel"), error))

    messages = await messages_of(await ask(client, name))

    assert holds(messages[-2:], ODD)


async def test_a_stored_stream_reaches_it_again(serve: Serve, database: Database) -> None:
    responses = Responses(ResponseStore(database, Room(ttl=3600, responses=9, bytes=10**6)), b"the key of the tests")
    client = await serve(ScriptedDispatcher.always(*ANSWER), responses=responses)
    path, body = REQUESTS["responses"]
    live = await client.post(path, json={"model": MODEL, **body, "store": True, "background": True, "stream": True})
    told = await messages_of(live)

    again = await client.get(f"{path}/{told[0]['response']['id']}?stream=true")

    assert again.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert await messages_of(again) == told
    assert holds(told, ODD)


async def test_a_live_page_reaches_it(serve_owner: Serve, database: Database) -> None:
    sessions = Sessions(SessionStore(database), LIMITS, Lines(1, 1))
    client = await serve_owner(None, ScriptedPool(counts={ODD: 1}), sessions=sessions)

    async with client.get("/v1/admin/live") as response:
        event = (await response.content.readuntil(b"\n\n")).decode()

    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    _, data = event.splitlines()[:2]
    assert orjson.loads(data.removeprefix("data: "))["workers"][0]["phase"] == ODD


@every_stream
@pytest.mark.promise("stream.every-parser")
async def test_a_stream_says_that_it_is_utf_8(serve: Serve, name: str) -> None:
    client = await serve()

    response = await ask(client, name)

    wanted = "application/json" if name == "gemini-array" else "text/event-stream; charset=utf-8"
    assert response.headers["Content-Type"] == wanted
