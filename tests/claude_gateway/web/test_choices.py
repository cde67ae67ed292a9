"""`n` choices: one job for each choice, one response for all."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.claude_gateway.scripted import CHAT_BODY, FINISHED, HELLO_EVENTS, STARTED, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import TextDelta

PATH = "/v1/chat/completions"
UPSTREAM_FAILURE = WorkerError(ErrorKind.UPSTREAM_ERROR, "The upstream broke.")
TIMEOUT = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.")


@pytest.mark.promise("choices.separate-jobs")
async def test_each_choice_is_a_separate_job(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource([HELLO_EVENTS, [STARTED, TextDelta("Hi"), FINISHED], HELLO_EVENTS])
    client = await serve(worker_source)

    body = await (await client.post(PATH, json={**CHAT_BODY, "n": 3})).json()

    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert sorted(choice["message"]["content"] for choice in body["choices"]) == ["Hello", "Hello", "Hi"]
    assert body["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 6,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert worker_source.jobs == [worker_source.jobs[0]] * 3


async def test_choices_stream_concurrently(serve: Serve) -> None:
    resume = asyncio.Event()
    client = await serve(ScriptedWorkerSource([[STARTED, resume, *HELLO_EVENTS[1:]], HELLO_EVENTS]))

    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**STREAM_BODY, "n": 2})
        first = await response.content.readuntil(b'"lo"')
        resume.set()
        rest = await response.text()

    assert b'"index":1' in first
    assert b'"index":0' not in first.replace(b'"index":0,"delta":{"role"', b"")
    assert rest.count("finish_reason") - rest.count('"finish_reason":null') == 2
    assert rest.strip().endswith("data: [DONE]")


@pytest.mark.promise("choices.one-fails-all")
@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["whole", "stream"])
async def test_failed_choice_fails_the_response_and_stops_the_other_jobs(serve: Serve, body: Any) -> None:
    worker_source = ScriptedWorkerSource([[asyncio.Event()], [UPSTREAM_FAILURE], [asyncio.Event()]])
    client = await serve(worker_source)

    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**body, "n": 3})
        await worker_source.worker_released.wait()

    assert response.status == 502
    assert (await response.json())["error"]["code"] == "upstream_error"
    assert (len(worker_source.jobs), worker_source.leased_count) == (3, 0)


async def test_choice_that_fails_after_the_head_ends_the_stream_with_an_error(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource([[*HELLO_EVENTS[:3], asyncio.Event()], [STARTED, TextDelta("x"), TIMEOUT]])
    client = await serve(worker_source)

    async with asyncio.timeout(10):
        text = await (await client.post(PATH, json={**STREAM_BODY, "n": 2})).text()
        await worker_source.worker_released.wait()

    assert orjson.loads(text.strip().splitlines()[-1].removeprefix("data: "))["error"]["code"] == "timeout"


@pytest.mark.promise("cancel.frees-worker")
async def test_disconnected_client_releases_every_worker(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event())
    client = await serve(worker_source)
    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**STREAM_BODY, "n": 4})
        await response.content.readuntil(b'"index":3')

        response.close()

        await worker_source.worker_released.wait()
    assert worker_source.leased_count == 0


@pytest.mark.promise("choices.bounded")
async def test_rejects_too_many_choices_with_400_without_a_job(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, max_choices=2)

    response = await client.post(PATH, json={**CHAT_BODY, "n": 3})

    assert response.status == 400
    assert (await response.json())["error"]["param"] == "n"
    assert worker_source.jobs == []
    assert (await client.post(PATH, json={**CHAT_BODY, "n": 2})).status == 200


async def test_rejects_choices_together_with_a_session_with_400(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source)

    response = await client.post(PATH, json={**CHAT_BODY, "n": 2, "session_id": "mine"})

    assert response.status == 400
    assert (await response.json())["error"]["param"] == "n"
    assert worker_source.jobs == []


@pytest.mark.parametrize(("n", "status"), [(0, 400), (-1, 400), ("many", 422), (1.5, 422), (True, 422)])
async def test_rejects_invalid_number_of_choices(serve: Serve, n: object, status: int) -> None:
    assert (await (await serve()).post(PATH, json={**CHAT_BODY, "n": n})).status == status


async def test_one_choice_equals_a_plain_request(serve: Serve) -> None:
    client = await serve()

    one, plain = [await (await client.post(PATH, json=body)).json() for body in ({**CHAT_BODY, "n": 1}, CHAT_BODY)]

    assert {**one, "id": ""} == {**plain, "id": "", "created": one["created"]}
