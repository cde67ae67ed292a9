"""Responses made in the background: polled, followed from any event on, cancelled, and never lost without a word."""

import asyncio
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from claude_gateway.ledger.ledger import Ledger
from claude_gateway.responses.register import Responses
from claude_gateway.stores.db import Database
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.responses import ResponseStore, Room
from claude_gateway.web.parts import PARTS
from tests.claude_gateway.scripted import HELLO, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.test_responses import PATH, ask, events_of
from workers.errors import ErrorKind, WorkerError
from workers.events import TextDelta

ROOM = Room(ttl=3600, responses=1_000, bytes=10**9)


@pytest.fixture
def responses(database: Database) -> Responses:
    return Responses(ResponseStore(database, ROOM), b"the key of the tests")


async def start(client: Client, **request: Any) -> str:
    made = await ask(client, background=True, **request)
    assert (made["status"], made["background"]) == ("queued", True)
    return str(made["id"])


async def shown(client: Client, id_: str) -> dict[str, Any]:
    response = await client.get(f"{PATH}/{id_}")
    assert response.status == 200
    body: dict[str, Any] = await response.json()
    return body


async def follow(client: Client, id_: str, after: int | None = None) -> list[dict[str, Any]]:
    """Until its end."""
    query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
    response = await client.get(f"{PATH}/{id_}", params=query)
    assert response.status == 200
    return await events_of(response, 0 if after is None else after + 1)


async def ended(client: Client, id_: str) -> dict[str, Any]:
    await follow(client, id_)
    return await shown(client, id_)


@pytest.mark.promise("responses.background")
async def test_it_is_answered_without_a_connection_and_polled(serve: Serve, responses: Responses) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(*HELLO[:3], more, *HELLO[3:])
    client = await serve(dispatcher, responses=responses)
    id_ = await start(client)
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()
    assert (await shown(client, id_))["status"] == "in_progress"

    more.set()

    made = await ended(client, id_)
    assert (made["status"], made["output"][0]["content"][0]["text"]) == ("completed", "Hello")
    assert dispatcher.released.is_set()


@pytest.mark.promise("responses.background")
async def test_its_stream_can_be_left_and_taken_up_behind_any_event(serve: Serve, responses: Responses) -> None:
    more = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(*HELLO[:3], more, *HELLO[3:]), responses=responses)
    async with asyncio.timeout(10):
        response = await client.post(PATH, json={"model": MODEL, "input": "hi", "background": True, "stream": True})
        head = await response.content.readuntil(b'"Hel"')
        id_ = orjson.loads(head.split(b"data: ")[1].split(b"\n")[0])["response"]["id"]
        response.close()

    following = asyncio.create_task(follow(client, id_, 3))
    more.set()
    live = await following

    whole = await follow(client, id_)
    assert [event["type"].removeprefix("response.") for event in whole[:4]] == [
        *("created", "queued", "in_progress", "output_item.added")
    ]
    assert whole[-1]["type"] == "response.completed"
    assert live == whole[4:]
    for after in range(len(whole) - 1):
        assert await follow(client, id_, after) == whole[after + 1 :]
    query = {"stream": "true", "starting_after": str(len(whole) - 1)}
    assert await (await client.get(f"{PATH}/{id_}", params=query)).text() == ""


async def test_a_chain_goes_on_from_it(serve: Serve, responses: Responses) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, responses=responses)
    id_ = await start(client)
    await ended(client, id_)

    await ask(client, input="more", previous_response_id=id_)

    assert [turn.role for turn in dispatcher.jobs[1].turns] == ["user", "assistant", "user"]


@pytest.mark.parametrize("after", ["-1", "x", "100", "99999999999999999999"])
async def test_an_event_that_cannot_be_is_a_400_that_names_the_parameter(
    serve: Serve, responses: Responses, after: str
) -> None:
    client = await serve(responses=responses)
    id_ = await start(client)
    await ended(client, id_)

    response = await client.get(f"{PATH}/{id_}", params={"stream": "true", "starting_after": after})

    assert (response.status, (await response.json())["error"]["param"]) == (400, "starting_after")


@pytest.mark.promise("responses.background")
async def test_a_cancelled_one_ends_at_once_with_its_followers_and_frees_the_worker(
    serve: Serve, responses: Responses
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO[:3], asyncio.Event())
    client = await serve(dispatcher, responses=responses)
    id_ = await start(client)
    following = asyncio.create_task(follow(client, id_))
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()

        cancelled = await (await client.post(f"{PATH}/{id_}/cancel")).json()

        assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
        assert (await following)[-1]["response"] == cancelled == await shown(client, id_)
        await dispatcher.released.wait()
    assert await (await client.post(f"{PATH}/{id_}/cancel")).json() == cancelled
    assert "cancelled" in (await ask(client, 400, previous_response_id=id_))["message"]


async def test_one_that_waits_for_a_worker_can_be_cancelled(serve: Serve, responses: Responses) -> None:
    client = await serve(ScriptedDispatcher.always(asyncio.Event()), responses=responses)
    id_ = await start(client)

    cancelled = await (await client.post(f"{PATH}/{id_}/cancel")).json()

    assert cancelled["status"] == "cancelled"


async def test_two_who_cancel_it_at_once_are_both_told(serve: Serve, responses: Responses) -> None:
    client = await serve(ScriptedDispatcher.always(*HELLO[:3], asyncio.Event()), responses=responses)
    id_ = await start(client)

    answers = await asyncio.gather(*(client.post(f"{PATH}/{id_}/cancel") for _ in range(3)))

    assert [(await answer.json())["status"] for answer in answers] == ["cancelled"] * 3


async def test_who_leaves_while_he_cancels_it_has_cancelled_it(serve: Serve, responses: Responses) -> None:
    client = await serve(ScriptedDispatcher.always(*HELLO[:3], asyncio.Event()), responses=responses)
    id_ = await start(client)
    following = asyncio.create_task(follow(client, id_))
    cancelling = asyncio.create_task(client.app[PARTS].background.cancel("local", id_))
    await asyncio.sleep(0)

    cancelling.cancel()

    assert (await following)[-1]["response"]["status"] == "cancelled"


async def test_cancelling_one_that_has_ended_changes_nothing(serve: Serve, responses: Responses) -> None:
    client = await serve(responses=responses)
    id_ = await start(client)
    made = await ended(client, id_)

    assert await (await client.post(f"{PATH}/{id_}/cancel")).json() == made


@pytest.mark.promise("responses.chain")
async def test_a_deleted_one_is_not_made_any_further(serve: Serve, responses: Responses, database: Database) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO[:3], asyncio.Event())
    client = await serve(dispatcher, responses=responses)
    id_ = await start(client)

    assert (await client.delete(f"{PATH}/{id_}")).status == 200

    async with asyncio.timeout(10):
        await dispatcher.released.wait()
    assert (await client.get(f"{PATH}/{id_}")).status == 404
    assert await database.run("SELECT id FROM responses") == []


async def test_nothing_goes_on_from_one_that_is_not_answered_yet(serve: Serve, responses: Responses) -> None:
    client = await serve(ScriptedDispatcher.always(asyncio.Event()), responses=responses)
    id_ = await start(client)

    assert "not been answered yet" in (await ask(client, 400, previous_response_id=id_))["message"]


@pytest.mark.promise("responses.background")
@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([WorkerError(ErrorKind.UPSTREAM, "It failed.")], "server_error"),
        ([*HELLO[:3], WorkerError(ErrorKind.RATE_LIMITED, "It failed.")], "rate_limit_exceeded"),
        ([*HELLO[:3], WorkerError(ErrorKind.WORKER_DIED, "It failed.")], "server_error"),
        ([STARTED, RuntimeError("inside")], "server_error"),
        ([STARTED], "server_error"),
    ],
    ids=["before a word", "behind a word", "worker died", "a fault of ours", "no end"],
)
async def test_one_that_fails_says_so_to_who_polls_and_who_follows(
    serve: Serve, responses: Responses, steps: list[Any], code: str
) -> None:
    client = await serve(ScriptedDispatcher([steps, HELLO]), responses=responses)
    id_ = await start(client)

    events = await follow(client, id_)

    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    made = await shown(client, id_)
    assert (made["status"], made["error"]["code"]) == ("failed", code)
    assert "inside" not in str(made)
    assert made == events[-1]["response"]


async def test_it_waits_for_a_worker_longer_than_a_caller_would(serve: Serve, responses: Responses) -> None:
    full = WorkerError(ErrorKind.QUEUE_FULL, "Too many requests are waiting.", retry_after=0.001)
    client = await serve(ScriptedDispatcher([[full], [full], HELLO]), responses=responses)
    id_ = await start(client)

    assert (await ended(client, id_))["status"] == "completed"


@pytest.mark.promise("responses.bounded")
async def test_a_key_has_so_many_at_once_and_another_key_its_own(serve: Serve, responses: Responses) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(more, *HELLO)
    client = await serve(dispatcher, responses=responses, background_limit=2)
    ids = [await start(client) for _ in range(2)]

    refused = await client.post(PATH, json={"model": MODEL, "input": "hi", "background": True})

    assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many_in_background")
    assert refused.headers["Retry-After"]
    more.set()
    for id_ in ids:
        await ended(client, id_)
    await start(client)


@pytest.mark.promise("responses.bounded")
async def test_a_key_follows_so_many_at_once_and_another_key_its_own(serve: Serve, responses: Responses) -> None:
    more = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(more, *HELLO), responses=responses, background_limit=1)
    id_ = await start(client)
    async with asyncio.timeout(10):
        held = [await client.get(f"{PATH}/{id_}", params={"stream": "true"}) for _ in range(2)]

        refused = await client.get(f"{PATH}/{id_}", params={"stream": "true"})

        assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many_followers")
        assert refused.headers["Retry-After"]
        with client.app[PARTS].background.follower("another key"):
            pass
        more.set()
        for response in held:
            await response.read()
    assert (await ended(client, id_))["status"] == "completed"


@pytest.mark.promise("responses.bounded")
async def test_a_stream_that_would_be_one_too_many_is_refused_before_it_is_made(
    serve: Serve, responses: Responses
) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(more, *HELLO)
    client = await serve(dispatcher, responses=responses, background_limit=1)
    background = client.app[PARTS].background
    with background.follower("local"), background.follower("local"):
        refused = await client.post(PATH, json={"model": MODEL, "input": "hi", "background": True, "stream": True})

    assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many_followers")
    assert dispatcher.jobs == []


async def test_a_large_event_comes_whole_and_nothing_is_put_into_it(serve: Serve, responses: Responses) -> None:
    large = TextDelta("é\u2028" * 400_000)
    dispatcher = ScriptedDispatcher.always(STARTED, HELLO[1], large, *HELLO[2:])
    client = await serve(dispatcher, responses=responses, heartbeat_seconds=0.001)
    id_ = await start(client)

    events = await follow(client, id_)

    assert large.text in [event.get("delta") for event in events]
    assert (await shown(client, id_))["output"][0]["content"][0]["text"] == f"{large.text}Hello"


@pytest.mark.promise("state.damaged-row")
async def test_a_damaged_log_costs_only_its_own_stream(serve: Serve, responses: Responses, database: Database) -> None:
    client = await serve(responses=responses)
    ids = [await start(client) for _ in range(2)]
    for id_ in ids:
        await ended(client, id_)
    await database.run("UPDATE responses SET events = 'nothing' WHERE id = ?", (ids[0],))

    response = await client.get(f"{PATH}/{ids[0]}", params={"stream": "true"})

    assert (response.status, (await response.json())["error"]["code"]) == (500, "response_damaged")
    assert (await follow(client, ids[1]))[-1]["type"] == "response.completed"
    assert (await shown(client, ids[0]))["status"] == "completed"


@pytest.mark.promise("responses.own-key")
async def test_another_key_can_neither_see_nor_cancel_one_that_is_being_made(
    serve: Serve, responses: Responses
) -> None:
    more = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(more, *HELLO), responses=responses)
    id_ = await start(client)
    theirs = await serve(responses=responses, api_key=SecretStr("another"))
    headers = {"authorization": "Bearer another"}

    answers = [
        await theirs.get(f"{PATH}/{id_}", headers=headers),
        await theirs.get(f"{PATH}/{id_}", params={"stream": "true"}, headers=headers),
        await theirs.post(f"{PATH}/{id_}/cancel", headers=headers),
        await theirs.delete(f"{PATH}/{id_}", headers=headers),
    ]

    assert [answer.status for answer in answers] == [404] * 4
    more.set()
    assert (await ended(client, id_))["status"] == "completed"


@pytest.mark.promise("stop.drains")
async def test_a_gateway_that_stops_lets_it_finish(serve: Serve, responses: Responses) -> None:
    more = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(more, *HELLO), responses=responses)
    id_ = await start(client)
    stopping = asyncio.create_task(client.app[PARTS].background.quiet())

    more.set()
    await stopping

    assert (await shown(client, id_))["status"] == "completed"


@pytest.mark.promise("responses.background")
async def test_what_is_not_finished_when_the_gateway_stops_fails_and_its_followers_are_told(
    serve: Serve, responses: Responses
) -> None:
    client = await serve(ScriptedDispatcher.always(*HELLO[:3], asyncio.Event()), responses=responses)
    id_ = await start(client)
    following = asyncio.create_task(follow(client, id_))

    await client.app[PARTS].background.close()

    assert (await following)[-1]["type"] == "response.failed"
    assert (await shown(client, id_))["error"]["message"].startswith("The gateway is stopping.")


@pytest.mark.promise("responses.background")
async def test_what_a_killed_gateway_was_making_has_failed_for_the_next_one(
    serve: Serve, responses: Responses, database: Database
) -> None:
    client = await serve(ScriptedDispatcher.always(asyncio.Event()), responses=responses)
    id_ = await start(client)
    next_one = Responses(ResponseStore(database, ROOM), b"the key of the tests")

    assert await next_one.recover() == 1

    client = await serve(responses=next_one)
    assert (await shown(client, id_))["status"] == "failed"
    (end,) = await follow(client, id_, 17)
    assert (end["type"], end["sequence_number"]) == ("response.failed", 18)


async def test_one_that_cannot_be_stored_is_not_begun(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)  # without a store at all

    await ask(client, 500, background=True)

    assert dispatcher.jobs == []


async def test_what_is_made_in_the_background_is_in_the_ledger_under_the_request_that_began_it(
    serve: Serve, responses: Responses, database: Database
) -> None:
    ledger = Ledger(LedgerStore(database))
    client = await serve(ScriptedDispatcher.always(*HELLO), responses=responses, ledger=ledger)
    response = await client.post(
        PATH, json={"model": MODEL, "input": "hi", "background": True}, headers={"x-request-id": "req-1"}
    )
    assert (await ended(client, (await response.json())["id"]))["status"] == "completed"
    await ledger.flushed()

    assert await database.run("SELECT request_id, dialect, result, input, output FROM ledger") == [
        ("req-1", "openai_responses", "ok", 3, 2)
    ]
