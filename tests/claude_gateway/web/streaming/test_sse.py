"""Streams of server-sent events: head, heartbeats, errors and end."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from tests.claude_gateway.scripted import HELLO_EVENTS, STARTED, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import TextDelta

PATH = "/v1/chat/completions"
TEXT_DELTA = TextDelta("Hel")
WORKER_EXIT = WorkerError(ErrorKind.WORKER_EXITED, "The claude process ended unexpectedly.")
TIMEOUT = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.", detail="/home/someone")


async def read_data(response: ClientResponse) -> list[str]:
    """Return the `data` of every event of a complete stream. Fails for lines that are not data or comments."""
    async with asyncio.timeout(10):
        text = await response.text()
    blocks = [block for block in text.split("\n\n")[:-1] if not block.startswith(":")]
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [block.removeprefix("data: ") for block in blocks]


def join_text(data: list[str]) -> str:
    chunks = [orjson.loads(message) for message in data if message != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if "choices" in chunk)


@pytest.mark.promise("stream.done")
async def test_stream_contains_the_text_and_ends_with_done(serve: Serve) -> None:
    client = await serve()

    data = await read_data(await client.post(PATH, json=STREAM_BODY))

    assert join_text(data) == "Hello"
    assert data[-1] == "[DONE]"
    assert data.count("[DONE]") == 1


@pytest.mark.promise("stream.headers")
async def test_tells_proxies_not_to_cache_or_change_a_stream(serve: Serve) -> None:
    client = await serve()

    response = await client.post(PATH, json=STREAM_BODY)

    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert "Content-Encoding" not in response.headers


async def test_lines_of_a_stream_end_with_lf(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource.repeating(STARTED, TextDelta("a\r\nb\rc\u2028d"), *HELLO_EVENTS[1:]))

    response = await client.post(PATH, json=STREAM_BODY)
    raw = await response.read()

    assert b"\r" not in raw
    assert raw.endswith(b"\n\n")


@pytest.mark.promise("stream.each-word-at-once")
async def test_streams_each_chunk_immediately(serve: Serve) -> None:
    resume = asyncio.Event()
    client = await serve(ScriptedWorkerSource.repeating(STARTED, TEXT_DELTA, resume, *HELLO_EVENTS[2:]))

    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM_BODY)
        before = await response.content.readuntil(b'"Hel"')
        resume.set()

    assert b'"lo"' not in before
    assert b'"lo"' in await response.read()


async def test_sends_the_events_of_a_batch_in_one_chunk(serve: Serve) -> None:
    resume = asyncio.Event()
    batch = (TEXT_DELTA, TextDelta("lo"))
    client = await serve(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:2], batch, resume, *HELLO_EVENTS[4:]))

    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM_BODY)
        chunks = [(await response.content.readchunk())[0]]
        while b'"lo"' not in chunks[-1]:
            chunks.append((await response.content.readchunk())[0])
        resume.set()
        rest = await response.read()

    assert b'"Hel"' in chunks[-1]
    assert rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.promise("stream.heartbeat")
async def test_sends_comments_as_heartbeats_of_an_idle_stream(serve: Serve) -> None:
    resume = asyncio.Event()
    client = await serve(
        ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS),
        stream_head_timeout_seconds=0,
        heartbeat_interval_seconds=0.01,
    )

    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM_BODY)
        heartbeats = [await response.content.readuntil(b"\n\n") for _ in range(2)]
        resume.set()

    assert all(heartbeat.startswith(b":") for heartbeat in heartbeats)
    assert join_text(await read_data(response)) == "Hello"


@pytest.mark.promise("stream.error-after-head")
@pytest.mark.parametrize("output", [(STARTED,), (STARTED, TEXT_DELTA)], ids=["before-the-output", "after-the-output"])
async def test_error_after_the_head_is_the_last_event_of_the_stream(serve: Serve, output: tuple[Any, ...]) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*output, TIMEOUT))

    response = await client.post(PATH, json=STREAM_BODY)
    *before, last = await read_data(response)

    assert response.status == 200
    assert orjson.loads(last)["error"] == {
        "message": "The answer took too long.",
        "type": "timeout_error",
        "code": "timeout",
    }
    assert not any("error" in orjson.loads(message) for message in before)


async def test_error_after_an_early_head_is_an_event_of_the_stream(serve: Serve) -> None:
    may_fail = asyncio.Event()
    client = await serve(ScriptedWorkerSource.repeating(may_fail, TIMEOUT), stream_head_timeout_seconds=0)

    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM_BODY)
    may_fail.set()
    (error_event,) = await read_data(response)

    assert response.status == 200
    assert orjson.loads(error_event)["error"]["code"] == "timeout"


@pytest.mark.promise("stream.error-after-head")
async def test_internal_error_after_the_head_ends_the_stream_in_an_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(STARTED, TEXT_DELTA, RuntimeError("inside")))

    data = await read_data(await client.post(PATH, json=STREAM_BODY))

    assert orjson.loads(data[-1])["error"]["code"] == "internal_error"
    assert "inside" not in str(data)
    assert "inside" in caplog.text


@pytest.mark.promise("retry.before-first-output")
async def test_retries_silently_if_a_worker_exits_before_any_output(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource([[STARTED, WORKER_EXIT], HELLO_EVENTS]))

    data = await read_data(await client.post(PATH, json=STREAM_BODY))

    assert join_text(data) == "Hello"
    assert data[-1] == "[DONE]"


@pytest.mark.promise("cancel.frees-worker")
async def test_disconnected_client_releases_the_worker(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(STARTED, TEXT_DELTA, asyncio.Event())
    client = await serve(worker_source)
    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM_BODY)
        await response.content.readuntil(b'"Hel"')

        response.close()

        await worker_source.events_closed.wait()
        await worker_source.worker_released.wait()


async def test_client_disconnected_before_the_head_releases_the_worker(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(asyncio.Event())
    client = await serve(worker_source)
    request_task = asyncio.create_task(client.post(PATH, json=STREAM_BODY))
    async with asyncio.timeout(10):
        await worker_source.job_started.wait()

        request_task.cancel()

        await worker_source.events_closed.wait()
        await worker_source.worker_released.wait()


async def test_finished_stream_releases_its_worker(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source)

    await read_data(await client.post(PATH, json=STREAM_BODY))

    assert worker_source.worker_released.is_set()
