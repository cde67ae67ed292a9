"""How a stream begins, breathes and ends."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from tests.claude_gateway.scripted import HELLO, STARTED, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve
from workers.errors import ErrorKind, WorkerError
from workers.events import TextDelta

PATH = "/v1/chat/completions"
WORD = TextDelta("Hel")
DIED = WorkerError(ErrorKind.WORKER_DIED, "The claude process ended unexpectedly.")
LATE = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.", detail="/home/someone")


async def data_of(response: ClientResponse) -> list[str]:
    """The `data` of every event of a stream that came to its end; anything but data and comments fails."""
    async with asyncio.timeout(10):
        text = await response.text()
    blocks = [block for block in text.split("\n\n")[:-1] if not block.startswith(":")]
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [block.removeprefix("data: ") for block in blocks]


def words(data: list[str]) -> str:
    chunks = [orjson.loads(one) for one in data if one != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if "choices" in chunk)


@pytest.mark.promise("stream.done")
async def test_a_stream_carries_the_words_and_ends_with_done(serve: Serve) -> None:
    client = await serve()

    data = await data_of(await client.post(PATH, json=STREAM))

    assert words(data) == "Hello"
    assert data[-1] == "[DONE]"
    assert data.count("[DONE]") == 1


@pytest.mark.promise("stream.headers")
async def test_no_proxy_may_keep_or_change_a_stream(serve: Serve) -> None:
    client = await serve()

    response = await client.post(PATH, json=STREAM)

    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert "Content-Encoding" not in response.headers


async def test_lines_end_with_lf_alone(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher.always(STARTED, TextDelta("a\r\nb\rc\u2028d"), *HELLO[1:]))

    response = await client.post(PATH, json=STREAM)
    raw = await response.read()

    assert b"\r" not in raw
    assert raw.endswith(b"\n\n")


@pytest.mark.promise("stream.each-word-at-once")
async def test_a_word_reaches_the_caller_before_the_next_one_exists(serve: Serve) -> None:
    more = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(STARTED, WORD, more, *HELLO[2:]))

    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM)
        before = await response.content.readuntil(b'"Hel"')
        more.set()

    assert b'"lo"' not in before
    assert b'"lo"' in await response.read()


@pytest.mark.promise("stream.heartbeat")
async def test_a_silent_stream_is_kept_alive_by_comments(serve: Serve) -> None:
    silence = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(silence, *HELLO), stream_head_seconds=0, heartbeat_seconds=0.01)

    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM)
        beats = [await response.content.readuntil(b"\n\n") for _ in range(2)]
        silence.set()

    assert all(beat.startswith(b":") for beat in beats)
    assert words(await data_of(response)) == "Hello"


@pytest.mark.promise("stream.error-after-head")
@pytest.mark.parametrize("shown", [(STARTED,), (STARTED, WORD)], ids=["before-a-word", "behind-a-word"])
async def test_an_error_behind_the_head_is_the_last_event_of_the_stream(serve: Serve, shown: tuple[Any, ...]) -> None:
    client = await serve(ScriptedDispatcher.always(*shown, LATE))

    response = await client.post(PATH, json=STREAM)
    *before, last = await data_of(response)

    assert response.status == 200
    assert orjson.loads(last)["error"] == {
        "message": "The answer took too long.",
        "type": "timeout_error",
        "code": "timeout",
    }
    assert not any("error" in orjson.loads(one) for one in before)


async def test_an_error_after_a_head_that_could_not_wait_comes_inside_the_stream(serve: Serve) -> None:
    failing = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(failing, LATE), stream_head_seconds=0)

    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM)
    failing.set()
    (only,) = await data_of(response)

    assert response.status == 200
    assert orjson.loads(only)["error"]["code"] == "timeout"


@pytest.mark.promise("stream.error-after-head")
async def test_a_fault_of_the_gateway_behind_the_head_ends_the_stream_in_an_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve(ScriptedDispatcher.always(STARTED, WORD, RuntimeError("inside")))

    data = await data_of(await client.post(PATH, json=STREAM))

    assert orjson.loads(data[-1])["error"]["code"] == "internal_error"
    assert "inside" not in str(data)
    assert "inside" in caplog.text


@pytest.mark.promise("retry.unseen")
async def test_a_worker_that_dies_before_a_word_costs_the_caller_nothing(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher([[STARTED, DIED], HELLO]))

    data = await data_of(await client.post(PATH, json=STREAM))

    assert words(data) == "Hello"
    assert data[-1] == "[DONE]"


@pytest.mark.promise("cancel.frees-worker")
async def test_a_caller_who_leaves_in_the_middle_frees_the_worker(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(STARTED, WORD, asyncio.Event())
    client = await serve(dispatcher)
    async with asyncio.timeout(10):
        response = await client.post(PATH, json=STREAM)
        await response.content.readuntil(b'"Hel"')

        response.close()

        await dispatcher.closed.wait()
        await dispatcher.released.wait()


async def test_a_caller_who_leaves_before_the_head_frees_the_worker(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(asyncio.Event())
    client = await serve(dispatcher)
    asking = asyncio.create_task(client.post(PATH, json=STREAM))
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()

        asking.cancel()

        await dispatcher.closed.wait()
        await dispatcher.released.wait()


async def test_a_stream_that_ended_gives_its_worker_back(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    await data_of(await client.post(PATH, json=STREAM))

    assert dispatcher.released.is_set()
