"""`n`: as many jobs, one answer."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.claude_gateway.scripted import CHAT, FINISHED, HELLO, STARTED, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve
from workers.errors import ErrorKind, WorkerError
from workers.events import TextDelta

PATH = "/v1/chat/completions"
BROKE = WorkerError(ErrorKind.UPSTREAM, "The upstream broke.")
LATE = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.")


@pytest.mark.promise("choices.each-an-answer")
async def test_each_choice_is_a_job_of_its_own(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher([HELLO, [STARTED, TextDelta("Hi"), FINISHED], HELLO])
    client = await serve(dispatcher)

    body = await (await client.post(PATH, json={**CHAT, "n": 3})).json()

    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert sorted(choice["message"]["content"] for choice in body["choices"]) == ["Hello", "Hello", "Hi"]
    assert body["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 6,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert dispatcher.jobs == [dispatcher.jobs[0]] * 3


async def test_the_choices_stream_side_by_side(serve: Serve) -> None:
    held = asyncio.Event()
    client = await serve(ScriptedDispatcher([[STARTED, held, *HELLO[1:]], HELLO]))

    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**STREAM, "n": 2})
        first = await response.content.readuntil(b'"lo"')
        held.set()
        rest = await response.text()

    assert b'"index":1' in first
    assert b'"index":0' not in first.replace(b'"index":0,"delta":{"role"', b"")
    assert rest.count("finish_reason") - rest.count('"finish_reason":null') == 2
    assert rest.strip().endswith("data: [DONE]")


@pytest.mark.promise("choices.one-fails-all")
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
async def test_one_choice_that_fails_fails_the_answer_and_ends_the_others(serve: Serve, body: Any) -> None:
    dispatcher = ScriptedDispatcher([[asyncio.Event()], [BROKE], [asyncio.Event()]])
    client = await serve(dispatcher)

    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**body, "n": 3})
        await dispatcher.released.wait()

    assert response.status == 502
    assert (await response.json())["error"]["code"] == "upstream_error"
    assert (len(dispatcher.jobs), dispatcher.held) == (3, 0)


async def test_a_choice_that_fails_behind_the_head_ends_the_stream_in_an_error(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher([[*HELLO[:3], asyncio.Event()], [STARTED, TextDelta("x"), LATE]])
    client = await serve(dispatcher)

    async with asyncio.timeout(10):
        text = await (await client.post(PATH, json={**STREAM, "n": 2})).text()
        await dispatcher.released.wait()

    assert orjson.loads(text.strip().splitlines()[-1].removeprefix("data: "))["error"]["code"] == "timeout"


@pytest.mark.promise("cancel.frees-worker")
async def test_a_caller_who_leaves_frees_every_worker(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO[:3], asyncio.Event())
    client = await serve(dispatcher)
    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**STREAM, "n": 4})
        await response.content.readuntil(b'"index":3')

        response.close()

        await dispatcher.released.wait()
    assert dispatcher.held == 0


@pytest.mark.promise("choices.bounded")
async def test_more_choices_than_the_gateway_gives_are_a_400_that_asks_nobody(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, max_choices=2)

    response = await client.post(PATH, json={**CHAT, "n": 3})

    assert response.status == 400
    assert (await response.json())["error"]["param"] == "n"
    assert dispatcher.jobs == []
    assert (await client.post(PATH, json={**CHAT, "n": 2})).status == 200


async def test_several_choices_and_a_session_are_a_400_that_asks_nobody(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    response = await client.post(PATH, json={**CHAT, "n": 2, "session_id": "mine"})

    assert response.status == 400
    assert (await response.json())["error"]["param"] == "n"
    assert dispatcher.jobs == []


@pytest.mark.parametrize(("n", "status"), [(0, 400), (-1, 400), ("many", 422), (1.5, 422), (True, 422)])
async def test_refuses_a_number_of_choices_that_is_none(serve: Serve, n: object, status: int) -> None:
    assert (await (await serve()).post(PATH, json={**CHAT, "n": n})).status == status


async def test_one_choice_is_the_answer_of_before(serve: Serve) -> None:
    client = await serve()

    one, plain = [await (await client.post(PATH, json=body)).json() for body in ({**CHAT, "n": 1}, CHAT)]

    assert {**one, "id": ""} == {**plain, "id": "", "created": one["created"]}
