"""Background responses: polling, following from any event on, cancellation, and failures that clients see."""

import asyncio
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from claude_gateway.storage.database import Database
from claude_gateway.stored_responses.response_store import ResponseLimits, ResponseStore
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.web.context.state import STATE
from tests.claude_gateway.scripted import HELLO_EVENTS, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.endpoints.test_responses import PATH, create_response, read_events
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import TextDelta

LIMITS = ResponseLimits(ttl_seconds=3600, max_responses=1_000, max_bytes=10**9)


@pytest.fixture
def responses(database: Database) -> ResponseService:
    return ResponseService(ResponseStore(database, LIMITS), b"the key of the tests")


async def start_background_response(client: Client, **request: Any) -> str:
    response = await create_response(client, background=True, **request)
    assert (response["status"], response["background"]) == ("queued", True)
    return str(response["id"])


async def get_response(client: Client, id_: str) -> dict[str, Any]:
    response = await client.get(f"{PATH}/{id_}")
    assert response.status == 200
    body: dict[str, Any] = await response.json()
    return body


async def follow_events(client: Client, id_: str, after: int | None = None) -> list[dict[str, Any]]:
    """Return the events of the response, after it has ended."""
    query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
    response = await client.get(f"{PATH}/{id_}", params=query)
    assert response.status == 200
    return await read_events(response, 0 if after is None else after + 1)


async def wait_for_end(client: Client, id_: str) -> dict[str, Any]:
    await follow_events(client, id_)
    return await get_response(client, id_)


@pytest.mark.promise("responses.background")
async def test_background_response_can_be_polled(serve: Serve, responses: ResponseService) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], resume, *HELLO_EVENTS[3:])
    client = await serve(worker_source, responses=responses)
    id_ = await start_background_response(client)
    async with asyncio.timeout(10):
        await worker_source.job_started.wait()
    assert (await get_response(client, id_))["status"] == "in_progress"

    resume.set()

    response = await wait_for_end(client, id_)
    assert (response["status"], response["output"][0]["content"][0]["text"]) == ("completed", "Hello")
    assert worker_source.worker_released.is_set()


@pytest.mark.promise("responses.background")
async def test_stream_can_be_followed_again_from_any_event(serve: Serve, responses: ResponseService) -> None:
    resume = asyncio.Event()
    client = await serve(
        ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], resume, *HELLO_EVENTS[3:]), responses=responses
    )
    async with asyncio.timeout(10):
        response = await client.post(PATH, json={"model": MODEL, "input": "hi", "background": True, "stream": True})
        head = await response.content.readuntil(b'"Hel"')
        id_ = orjson.loads(head.split(b"data: ")[1].split(b"\n")[0])["response"]["id"]
        response.close()

    follower = asyncio.create_task(follow_events(client, id_, 3))
    resume.set()
    live = await follower

    whole = await follow_events(client, id_)
    assert [event["type"].removeprefix("response.") for event in whole[:4]] == [
        *("created", "queued", "in_progress", "output_item.added")
    ]
    assert whole[-1]["type"] == "response.completed"
    assert live == whole[4:]
    for after in range(len(whole) - 1):
        assert await follow_events(client, id_, after) == whole[after + 1 :]
    query = {"stream": "true", "starting_after": str(len(whole) - 1)}
    assert await (await client.get(f"{PATH}/{id_}", params=query)).text() == ""


async def test_request_can_continue_a_background_response(serve: Serve, responses: ResponseService) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, responses=responses)
    id_ = await start_background_response(client)
    await wait_for_end(client, id_)

    await create_response(client, input="more", previous_response_id=id_)

    assert [turn.role for turn in worker_source.jobs[1].turns] == ["user", "assistant", "user"]


@pytest.mark.parametrize("after", ["-1", "x", "100", "99999999999999999999"])
async def test_rejects_invalid_starting_after_with_400(serve: Serve, responses: ResponseService, after: str) -> None:
    client = await serve(responses=responses)
    id_ = await start_background_response(client)
    await wait_for_end(client, id_)

    response = await client.get(f"{PATH}/{id_}", params={"stream": "true", "starting_after": after})

    assert (response.status, (await response.json())["error"]["param"]) == (400, "starting_after")


@pytest.mark.promise("responses.background")
async def test_cancelling_ends_the_response_and_its_followers_immediately(
    serve: Serve, responses: ResponseService
) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event())
    client = await serve(worker_source, responses=responses)
    id_ = await start_background_response(client)
    follower = asyncio.create_task(follow_events(client, id_))
    async with asyncio.timeout(10):
        await worker_source.job_started.wait()

        cancelled = await (await client.post(f"{PATH}/{id_}/cancel")).json()

        assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
        assert (await follower)[-1]["response"] == cancelled == await get_response(client, id_)
        await worker_source.worker_released.wait()
    assert await (await client.post(f"{PATH}/{id_}/cancel")).json() == cancelled
    assert "cancelled" in (await create_response(client, 400, previous_response_id=id_))["message"]


async def test_waiting_response_can_be_cancelled(serve: Serve, responses: ResponseService) -> None:
    client = await serve(ScriptedWorkerSource.repeating(asyncio.Event()), responses=responses)
    id_ = await start_background_response(client)

    cancelled = await (await client.post(f"{PATH}/{id_}/cancel")).json()

    assert cancelled["status"] == "cancelled"


async def test_two_concurrent_cancellations_both_succeed(serve: Serve, responses: ResponseService) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event()), responses=responses)
    id_ = await start_background_response(client)

    results = await asyncio.gather(*(client.post(f"{PATH}/{id_}/cancel") for _ in range(3)))

    assert [(await result.json())["status"] for result in results] == ["cancelled"] * 3


async def test_cancellation_completes_if_the_client_disconnects_meanwhile(
    serve: Serve, responses: ResponseService
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event()), responses=responses)
    id_ = await start_background_response(client)
    follower = asyncio.create_task(follow_events(client, id_))
    cancelling = asyncio.create_task(client.app[STATE].background_responses.cancel("local", id_))
    await asyncio.sleep(0)

    cancelling.cancel()

    assert (await follower)[-1]["response"]["status"] == "cancelled"


async def test_cancelling_a_finished_response_changes_nothing(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses)
    id_ = await start_background_response(client)
    response = await wait_for_end(client, id_)

    assert await (await client.post(f"{PATH}/{id_}/cancel")).json() == response


@pytest.mark.promise("responses.chain")
async def test_deleted_response_is_not_completed(serve: Serve, responses: ResponseService, database: Database) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event())
    client = await serve(worker_source, responses=responses)
    id_ = await start_background_response(client)

    assert (await client.delete(f"{PATH}/{id_}")).status == 200

    async with asyncio.timeout(10):
        await worker_source.worker_released.wait()
    assert (await client.get(f"{PATH}/{id_}")).status == 404
    assert await database.execute("SELECT id FROM responses") == []


async def test_running_response_cannot_be_continued(serve: Serve, responses: ResponseService) -> None:
    client = await serve(ScriptedWorkerSource.repeating(asyncio.Event()), responses=responses)
    id_ = await start_background_response(client)

    assert "not been answered yet" in (await create_response(client, 400, previous_response_id=id_))["message"]


@pytest.mark.promise("responses.background")
@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([WorkerError(ErrorKind.UPSTREAM_ERROR, "It failed.")], "server_error"),
        ([*HELLO_EVENTS[:3], WorkerError(ErrorKind.RATE_LIMITED, "It failed.")], "rate_limit_exceeded"),
        ([*HELLO_EVENTS[:3], WorkerError(ErrorKind.WORKER_EXITED, "It failed.")], "server_error"),
        ([STARTED, RuntimeError("inside")], "server_error"),
        ([STARTED], "server_error"),
    ],
    ids=["before the output", "after the output", "worker exited", "internal error", "no end of events"],
)
async def test_failure_is_reported_to_polling_and_following_clients(
    serve: Serve, responses: ResponseService, steps: list[Any], code: str
) -> None:
    client = await serve(ScriptedWorkerSource([steps, HELLO_EVENTS]), responses=responses)
    id_ = await start_background_response(client)

    events = await follow_events(client, id_)

    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    response = await get_response(client, id_)
    assert (response["status"], response["error"]["code"]) == ("failed", code)
    assert "inside" not in str(response)
    assert response == events[-1]["response"]


async def test_waits_for_a_worker_longer_than_a_connected_request(serve: Serve, responses: ResponseService) -> None:
    full = WorkerError(ErrorKind.QUEUE_FULL, "Too many requests are waiting.", retry_after=0.001)
    client = await serve(ScriptedWorkerSource([[full], [full], HELLO_EVENTS]), responses=responses)
    id_ = await start_background_response(client)

    assert (await wait_for_end(client, id_))["status"] == "completed"


@pytest.mark.promise("responses.bounded")
async def test_limits_background_responses_per_key(serve: Serve, responses: ResponseService) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    client = await serve(worker_source, responses=responses, max_background_responses_per_key=2)
    ids = [await start_background_response(client) for _ in range(2)]

    refused = await client.post(PATH, json={"model": MODEL, "input": "hi", "background": True})

    assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many_background_responses")
    assert refused.headers["Retry-After"]
    resume.set()
    for id_ in ids:
        await wait_for_end(client, id_)
    await start_background_response(client)


@pytest.mark.promise("responses.bounded")
async def test_limits_followers_per_key(serve: Serve, responses: ResponseService) -> None:
    resume = asyncio.Event()
    client = await serve(
        ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS), responses=responses, max_background_responses_per_key=1
    )
    id_ = await start_background_response(client)
    async with asyncio.timeout(10):
        streams = [await client.get(f"{PATH}/{id_}", params={"stream": "true"}) for _ in range(2)]

        refused = await client.get(f"{PATH}/{id_}", params={"stream": "true"})

        assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many_response_streams")
        assert refused.headers["Retry-After"]
        with client.app[STATE].background_responses.acquire_follower_slot("another key"):
            pass
        resume.set()
        for response in streams:
            await response.read()
    assert (await wait_for_end(client, id_))["status"] == "completed"


@pytest.mark.promise("responses.bounded")
async def test_rejects_stream_beyond_the_limit_before_running_a_job(serve: Serve, responses: ResponseService) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    client = await serve(worker_source, responses=responses, max_background_responses_per_key=1)
    background_responses = client.app[STATE].background_responses
    with background_responses.acquire_follower_slot("local"), background_responses.acquire_follower_slot("local"):
        refused = await client.post(PATH, json={"model": MODEL, "input": "hi", "background": True, "stream": True})

    assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many_response_streams")
    assert worker_source.jobs == []


async def test_sends_large_event_completely_without_heartbeats_in_between(
    serve: Serve, responses: ResponseService
) -> None:
    large_delta = TextDelta("é\u2028" * 400_000)
    worker_source = ScriptedWorkerSource.repeating(STARTED, HELLO_EVENTS[1], large_delta, *HELLO_EVENTS[2:])
    client = await serve(worker_source, responses=responses, heartbeat_interval_seconds=0.001)
    id_ = await start_background_response(client)

    events = await follow_events(client, id_)

    assert large_delta.text in [event.get("delta") for event in events]
    assert (await get_response(client, id_))["output"][0]["content"][0]["text"] == f"{large_delta.text}Hello"


@pytest.mark.promise("state.damaged-row")
async def test_damaged_event_log_affects_only_its_own_response(
    serve: Serve, responses: ResponseService, database: Database
) -> None:
    client = await serve(responses=responses)
    ids = [await start_background_response(client) for _ in range(2)]
    for id_ in ids:
        await wait_for_end(client, id_)
    await database.execute("UPDATE responses SET events = 'nothing' WHERE id = ?", (ids[0],))

    response = await client.get(f"{PATH}/{ids[0]}", params={"stream": "true"})

    assert (response.status, (await response.json())["error"]["code"]) == (500, "stored_response_corrupted")
    assert (await follow_events(client, ids[1]))[-1]["type"] == "response.completed"
    assert (await get_response(client, ids[0]))["status"] == "completed"


@pytest.mark.promise("responses.own-key")
async def test_another_key_can_neither_see_nor_cancel_a_running_response(
    serve: Serve, responses: ResponseService
) -> None:
    resume = asyncio.Event()
    client = await serve(ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS), responses=responses)
    id_ = await start_background_response(client)
    other_client = await serve(responses=responses, api_key=SecretStr("another"))
    headers = {"authorization": "Bearer another"}

    results = [
        await other_client.get(f"{PATH}/{id_}", headers=headers),
        await other_client.get(f"{PATH}/{id_}", params={"stream": "true"}, headers=headers),
        await other_client.post(f"{PATH}/{id_}/cancel", headers=headers),
        await other_client.delete(f"{PATH}/{id_}", headers=headers),
    ]

    assert [result.status for result in results] == [404] * 4
    resume.set()
    assert (await wait_for_end(client, id_))["status"] == "completed"


@pytest.mark.promise("stop.drains")
async def test_shutdown_waits_for_background_responses(serve: Serve, responses: ResponseService) -> None:
    resume = asyncio.Event()
    client = await serve(ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS), responses=responses)
    id_ = await start_background_response(client)
    stopping = asyncio.create_task(client.app[STATE].background_responses.wait_idle())

    resume.set()
    await stopping

    assert (await get_response(client, id_))["status"] == "completed"


@pytest.mark.promise("responses.background")
async def test_unfinished_response_fails_at_shutdown_and_followers_receive_the_failure(
    serve: Serve, responses: ResponseService
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event()), responses=responses)
    id_ = await start_background_response(client)
    follower = asyncio.create_task(follow_events(client, id_))

    await client.app[STATE].background_responses.close()

    assert (await follower)[-1]["type"] == "response.failed"
    assert (await get_response(client, id_))["error"]["message"].startswith("The gateway is shutting down.")


@pytest.mark.promise("responses.background")
async def test_unfinished_response_of_a_killed_gateway_fails_after_the_restart(
    serve: Serve, responses: ResponseService, database: Database
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(asyncio.Event()), responses=responses)
    id_ = await start_background_response(client)
    next_service = ResponseService(ResponseStore(database, LIMITS), b"the key of the tests")

    assert await next_service.fail_unfinished() == 1

    client = await serve(responses=next_service)
    assert (await get_response(client, id_))["status"] == "failed"
    (end,) = await follow_events(client, id_, 17)
    assert (end["type"], end["sequence_number"]) == ("response.failed", 18)


async def test_response_that_cannot_be_stored_is_not_started(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source)  # without a store of responses

    await create_response(client, 500, background=True)

    assert worker_source.jobs == []


async def test_usage_record_of_a_background_job_names_its_request(
    serve: Serve, responses: ResponseService, database: Database
) -> None:
    usage_recorder = UsageRecorder(UsageStore(database))
    client = await serve(
        ScriptedWorkerSource.repeating(*HELLO_EVENTS), responses=responses, usage_recorder=usage_recorder
    )
    response = await client.post(
        PATH, json={"model": MODEL, "input": "hi", "background": True}, headers={"x-request-id": "req-1"}
    )
    assert (await wait_for_end(client, (await response.json())["id"]))["status"] == "completed"
    await usage_recorder.flush()

    assert await database.execute("SELECT request_id, dialect, result, input, output FROM usage_records") == [
        ("req-1", "openai_responses", "ok", 3, 2)
    ]
