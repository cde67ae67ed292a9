"""Answers that must be JSON, as a caller of either dialect sees them."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.claude_gateway.scripted import CHAT, MODEL, STARTED, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve
from workers.events import BlockEnded, BlockStarted, Event, Finished, TextDelta, Usage
from workers.job import Text

CHATS, MESSAGES = "/v1/chat/completions", "/v1/messages"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
FORMAT: dict[str, Any] = {"type": "json_schema", "schema": SCHEMA}
CHAT_FORMAT = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}}
OLD = {"model": "claude-opus-4-20250514"}
MESSAGE = {"model": MODEL, "max_tokens": 9, "messages": CHAT["messages"], "output_config": {"format": FORMAT}}


def says(*pieces: str) -> list[Event]:
    end = Finished("end_turn", Usage(input=3, output=2))
    return [STARTED, BlockStarted(Text("")), *map(TextDelta, pieces), BlockEnded(), end]


def data_of(raw: str) -> list[str]:
    return [line.removeprefix("data: ") for line in raw.splitlines() if line.startswith("data: ")]


@pytest.mark.promise("stream.heartbeat")
async def test_a_stream_that_is_held_back_is_kept_alive_and_then_whole(serve: Serve) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher([[STARTED, TextDelta('{"a":'), more, TextDelta("1}"), *says()[-1:]]])
    client = await serve(dispatcher, stream_head_seconds=0, heartbeat_seconds=0.01)

    async with asyncio.timeout(10):
        response = await client.post(CHATS, json={**STREAM, **CHAT_FORMAT, **OLD})
        beats = [await response.content.readuntil(b"\n\n") for _ in range(3)]
        more.set()
        *chunks, done = data_of(await response.text())

    assert all(beat.startswith(b":") for beat in beats)
    assert "".join(orjson.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks) == '{"a":1}'
    assert done == "[DONE]"


async def test_what_the_model_is_held_to_streams_word_by_word(serve: Serve) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher([[STARTED, TextDelta('{"a":'), more, TextDelta("1}"), *says()[-1:]]])
    client = await serve(dispatcher)

    async with asyncio.timeout(10):
        response = await client.post(CHATS, json={**STREAM, **CHAT_FORMAT})
        await response.content.readuntil(b'"{\\"a\\":"')
        more.set()
        assert data_of(await response.text())[-1] == "[DONE]"


@pytest.mark.promise("structured.checked")
async def test_a_wrong_answer_that_was_streamed_ends_in_an_error_and_not_in_done(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher([says('{"a":', "0}")]))

    *chunks, last = data_of(await (await client.post(CHATS, json={**STREAM, **CHAT_FORMAT})).text())

    assert "".join(orjson.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks) == '{"a":0}'
    assert not any(orjson.loads(chunk)["choices"][0]["finish_reason"] for chunk in chunks)
    assert orjson.loads(last)["error"] == {
        "message": "The answer is not the JSON that was asked for: $.a: 0 is less than the minimum of 1",
        "type": "streaming_error",
        "code": "invalid_json_output",
    }


@pytest.mark.promise("structured.checked")
async def test_a_message_that_was_streamed_wrong_ends_in_the_dialect_s_own_error(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher([says("no")]))

    raw = await (await client.post(MESSAGES, json={**MESSAGE, "stream": True})).text()
    names = [line.removeprefix("event: ") for line in raw.splitlines() if line.startswith("event: ")]

    assert names == [
        *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop", "error"),
    ]
    assert orjson.loads(data_of(raw)[-1])["error"]["type"] == "api_error"


@pytest.mark.promise("structured.checked")
@pytest.mark.parametrize(("path", "body"), [(CHATS, {**CHAT, **CHAT_FORMAT}), (MESSAGES, MESSAGE)])
async def test_a_whole_answer_that_stays_wrong_is_a_502(serve: Serve, path: str, body: dict[str, Any]) -> None:
    dispatcher = ScriptedDispatcher.always(*says("no"))
    client = await serve(dispatcher)

    response = await client.post(path, json=body)

    assert response.status == 502
    assert (await response.json())["error"]["type"] == "api_error"
    assert len(dispatcher.jobs) == 2


@pytest.mark.promise("structured.bad-schema")
@pytest.mark.parametrize("stream", [True, False])
async def test_a_schema_that_is_none_is_a_400_in_either_dialect(serve: Serve, stream: bool) -> None:
    dispatcher = ScriptedDispatcher.always(*says("{}"))
    client = await serve(dispatcher)
    broken = {"type": "json_schema", "schema": {"type": "objekt"}}
    chat = {**CHAT, "response_format": {"type": "json_schema", "json_schema": broken}, "stream": stream}
    message = {**MESSAGE, "output_config": {"format": broken}, "stream": stream}

    told = await client.post(CHATS, json=chat)
    also = await client.post(MESSAGES, json=message)

    assert told.status == also.status == 400
    error = (await told.json())["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert error["message"].startswith("response_format.json_schema.schema: this is no JSON Schema: $.type: 'objekt'")
    envelope = await also.json()
    assert (envelope["type"], envelope["error"]["type"]) == ("error", "invalid_request_error")
    assert envelope["error"]["message"].startswith("output_config.format.schema: ")
    assert dispatcher.jobs == []


async def test_what_of_a_schema_is_not_checked_is_named_in_the_warnings(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher.always(*says('"x"')))
    schema = {"type": "string", "pattern": "^(?=x)"}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    response = await client.post(CHATS, json={**CHAT, "response_format": wanted})

    assert response.status == 200
    assert "looks around or back, and is not checked" in response.headers["x-gateway-warnings"]


@pytest.mark.promise("cancel.frees-worker")
@pytest.mark.parametrize("model", [{}, OLD], ids=["native", "emulated"])
async def test_a_caller_who_leaves_frees_the_worker(serve: Serve, model: dict[str, str]) -> None:
    dispatcher = ScriptedDispatcher.always(STARTED, TextDelta("{"), asyncio.Event())
    client = await serve(dispatcher)
    asking = asyncio.create_task(client.post(CHATS, json={**CHAT, **CHAT_FORMAT, **model}))
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()

        asking.cancel()

        await dispatcher.closed.wait()
        await dispatcher.released.wait()
