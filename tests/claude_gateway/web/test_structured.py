"""Structured output: JSON replies with a schema, in the Chat and Messages dialects."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.claude_gateway.scripted import CHAT_BODY, MODEL, STARTED, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from workers.core.events import BlockEnded, BlockStarted, Event, Finished, TextDelta, TokenUsage
from workers.core.job import Text

CHAT_PATH, MESSAGES_PATH = "/v1/chat/completions", "/v1/messages"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
FORMAT: dict[str, Any] = {"type": "json_schema", "schema": SCHEMA}
CHAT_FORMAT = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}}
MODEL_WITHOUT_SCHEMAS = {"model": "claude-opus-4-20250514"}
MESSAGE = {"model": MODEL, "max_tokens": 9, "messages": CHAT_BODY["messages"], "output_config": {"format": FORMAT}}


def reply_events(*chunks: str) -> list[Event]:
    end = Finished("end_turn", TokenUsage(input_tokens=3, output_tokens=2))
    return [STARTED, BlockStarted(Text("")), *map(TextDelta, chunks), BlockEnded(), end]


def read_data(raw: str) -> list[str]:
    return [line.removeprefix("data: ") for line in raw.splitlines() if line.startswith("data: ")]


@pytest.mark.promise("stream.heartbeat")
async def test_buffered_stream_has_heartbeats_and_is_complete(serve: Serve) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource([[STARTED, TextDelta('{"a":'), resume, TextDelta("1}"), *reply_events()[-1:]]])
    client = await serve(worker_source, stream_head_timeout_seconds=0, heartbeat_interval_seconds=0.01)

    async with asyncio.timeout(10):
        response = await client.post(CHAT_PATH, json={**STREAM_BODY, **CHAT_FORMAT, **MODEL_WITHOUT_SCHEMAS})
        heartbeats = [await response.content.readuntil(b"\n\n") for _ in range(3)]
        resume.set()
        *chunks, done = read_data(await response.text())

    assert all(heartbeat.startswith(b":") for heartbeat in heartbeats)
    assert "".join(orjson.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks) == '{"a":1}'
    assert done == "[DONE]"


async def test_native_schema_streams_each_chunk_immediately(serve: Serve) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource([[STARTED, TextDelta('{"a":'), resume, TextDelta("1}"), *reply_events()[-1:]]])
    client = await serve(worker_source)

    async with asyncio.timeout(10):
        response = await client.post(CHAT_PATH, json={**STREAM_BODY, **CHAT_FORMAT})
        await response.content.readuntil(b'"{\\"a\\":"')
        resume.set()
        assert read_data(await response.text())[-1] == "[DONE]"


@pytest.mark.promise("structured.checked")
async def test_invalid_streamed_reply_ends_in_an_error_without_done(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource([reply_events('{"a":', "0}")]))

    *chunks, last = read_data(await (await client.post(CHAT_PATH, json={**STREAM_BODY, **CHAT_FORMAT})).text())

    assert "".join(orjson.loads(chunk)["choices"][0]["delta"].get("content", "") for chunk in chunks) == '{"a":0}'
    assert not any(orjson.loads(chunk)["choices"][0]["finish_reason"] for chunk in chunks)
    assert orjson.loads(last)["error"] == {
        "message": "The reply is not the requested JSON: $.a: 0 is less than the minimum of 1",
        "type": "streaming_error",
        "code": "invalid_json_output",
    }


@pytest.mark.promise("structured.checked")
async def test_invalid_streamed_message_ends_in_an_error_of_its_dialect(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource([reply_events("no")]))

    raw = await (await client.post(MESSAGES_PATH, json={**MESSAGE, "stream": True})).text()
    names = [line.removeprefix("event: ") for line in raw.splitlines() if line.startswith("event: ")]

    assert names == [
        *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop", "error"),
    ]
    assert orjson.loads(read_data(raw)[-1])["error"]["type"] == "api_error"


@pytest.mark.promise("structured.checked")
@pytest.mark.parametrize(("path", "body"), [(CHAT_PATH, {**CHAT_BODY, **CHAT_FORMAT}), (MESSAGES_PATH, MESSAGE)])
async def test_body_that_is_invalid_after_the_repair_is_a_502(serve: Serve, path: str, body: dict[str, Any]) -> None:
    worker_source = ScriptedWorkerSource.repeating(*reply_events("no"))
    client = await serve(worker_source)

    response = await client.post(path, json=body)

    assert response.status == 502
    assert (await response.json())["error"]["type"] == "api_error"
    assert len(worker_source.jobs) == 2


@pytest.mark.promise("structured.bad-schema")
@pytest.mark.parametrize("stream", [True, False])
async def test_rejects_invalid_schema_with_400_in_both_dialects(serve: Serve, stream: bool) -> None:
    worker_source = ScriptedWorkerSource.repeating(*reply_events("{}"))
    client = await serve(worker_source)
    invalid_format = {"type": "json_schema", "schema": {"type": "objekt"}}
    chat = {**CHAT_BODY, "response_format": {"type": "json_schema", "json_schema": invalid_format}, "stream": stream}
    message = {**MESSAGE, "output_config": {"format": invalid_format}, "stream": stream}

    chat_response = await client.post(CHAT_PATH, json=chat)
    message_response = await client.post(MESSAGES_PATH, json=message)

    assert chat_response.status == message_response.status == 400
    error = (await chat_response.json())["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert error["message"].startswith(
        "response_format.json_schema.schema: this is not a valid JSON Schema: $.type: 'objekt'"
    )
    error_body = await message_response.json()
    assert (error_body["type"], error_body["error"]["type"]) == ("error", "invalid_request_error")
    assert error_body["error"]["message"].startswith("output_config.format.schema: ")
    assert worker_source.jobs == []


async def test_warns_of_schema_keywords_that_are_not_enforced(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*reply_events('"x"')))
    schema = {"type": "string", "pattern": "^(?=x)"}
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    response = await client.post(CHAT_PATH, json={**CHAT_BODY, "response_format": response_format})

    assert response.status == 200
    assert "has a lookaround or a backreference, and is not checked" in response.headers["x-gateway-warnings"]


@pytest.mark.promise("cancel.frees-worker")
@pytest.mark.parametrize("model", [{}, MODEL_WITHOUT_SCHEMAS], ids=["native", "emulated"])
async def test_disconnected_client_releases_the_worker(serve: Serve, model: dict[str, str]) -> None:
    worker_source = ScriptedWorkerSource.repeating(STARTED, TextDelta("{"), asyncio.Event())
    client = await serve(worker_source)
    request_task = asyncio.create_task(client.post(CHAT_PATH, json={**CHAT_BODY, **CHAT_FORMAT, **model}))
    async with asyncio.timeout(10):
        await worker_source.job_started.wait()

        request_task.cancel()

        await worker_source.events_closed.wait()
        await worker_source.worker_released.wait()
