"""`POST /v1/responses` as a caller sees it, and what is asked of the stored ones later."""

import asyncio
import contextlib
import time
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent
from pydantic import SecretStr, TypeAdapter

from claude_gateway.cli_facts.pictures import png
from claude_gateway.loaded_memory import Held, LoadedMemory
from claude_gateway.responses.register import Responses
from claude_gateway.stores.db import Database
from claude_gateway.stores.responses import Link, ResponseStore, Room, Stored
from claude_gateway.web import slices
from tests.claude_gateway.scripted import HELLO, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.strangers import fetcher_to, stranger
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockEnded, BlockStarted, Finished, InputDelta, Signed, ThinkingDelta, Usage
from workers.job import RedactedThought, Text, Thought, ToolResult, ToolUse, Turn

PATH = "/v1/responses"
ASK = {"model": MODEL, "input": "hi"}
STREAM = {**ASK, "stream": True}
KEY = b"the key of the tests"
ROOM = Room(ttl=10**9, responses=9, bytes=10**9)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
THINKING = (STARTED, BlockStarted(Thought("", "")), ThinkingDelta("hm"), Signed("sig"), BlockEnded(), *HELLO[1:])
CALLING = (
    STARTED,
    *(BlockStarted(ToolUse("call_1", "f", {})), InputDelta('{"a":1}'), BlockEnded()),
    Finished("tool_use", Usage()),
)
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


class Clock:
    time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def responses(database: Database, clock: Clock) -> Responses:
    return Responses(ResponseStore(database, Room(ttl=3600, responses=1_000, bytes=10**9)), KEY, clock)


async def ask(client: Client, status: int = 200, **request: Any) -> dict[str, Any]:
    response = await client.post(PATH, json={**ASK, **request})
    body: dict[str, Any] = await response.json()
    assert response.status == status, body
    if status == 200:
        Response.model_validate(body)
        return body
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    return error


async def events_of(response: ClientResponse, first: int = 0) -> list[dict[str, Any]]:
    """Each under its own name, numbered without a gap, as the official client's types have it."""
    async with asyncio.timeout(10):
        text = await response.text()
    assert text.endswith("\n\n")
    events = []
    for block in text.split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        EVENT.validate_python(event)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(first, first + len(events)))
    return events


async def test_a_request_is_answered_with_a_response(serve: Serve, responses: Responses) -> None:
    client = await serve(responses=responses)

    body = await ask(client, metadata={"k": "v"})

    assert (body["object"], body["status"], body["model"], body["metadata"]) == (
        "response",
        "completed",
        MODEL,
        {"k": "v"},
    )
    assert body["output"][0]["content"][0]["text"] == "Hello"
    assert body["usage"]["total_tokens"] == 5


@pytest.mark.promise("responses.events")
async def test_a_stream_has_every_event_in_its_documented_order(serve: Serve, responses: Responses) -> None:
    client = await serve(ScriptedDispatcher.always(*THINKING), responses=responses)

    events = await events_of(await client.post(PATH, json=STREAM))

    assert [event["type"].removeprefix("response.") for event in events] == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    assert events[-1]["response"]["output"] == [e["item"] for e in events if e["type"] == "response.output_item.done"]


async def test_the_paths_also_stand_without_v1(serve: Serve, responses: Responses) -> None:
    client = await serve(responses=responses)

    made = await (await client.post("/responses", json=ASK)).json()

    assert await (await client.get(f"/responses/{made['id']}")).json() == made


async def test_the_model_used_and_what_is_not_honoured_are_named_beside_the_answer(serve: Serve) -> None:
    client = await serve()

    for body in ({**ASK, "store": False}, {**STREAM, "store": False}):
        response = await client.post(PATH, json={**body, "truncation": "auto"})
        assert response.headers["x-claude-model"] == MODEL
        assert response.headers["x-gateway-warnings"].startswith("truncation: ")


@pytest.mark.promise("stream.error-after-head")
async def test_an_error_behind_the_head_ends_the_stream_and_is_told_twice(serve: Serve) -> None:
    late = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.", detail="/home/someone")
    client = await serve(ScriptedDispatcher.always(*HELLO[:3], late))

    events = await events_of(await client.post(PATH, json={**STREAM, "store": False}))

    assert [event["type"] for event in events][-3:] == ["response.output_item.done", "error", "response.failed"]
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "The answer took too long."}
    assert "someone" not in str(events)


@pytest.mark.promise("stream.error-after-head")
async def test_a_stream_that_never_began_still_begins_before_it_fails(serve: Serve) -> None:
    failing = asyncio.Event()
    late = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.")
    client = await serve(ScriptedDispatcher.always(failing, late), stream_head_seconds=0)

    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**STREAM, "store": False})
    failing.set()

    assert [event["type"] for event in await events_of(response)] == [
        *("response.created", "response.in_progress", "error", "response.failed")
    ]


async def test_a_worker_that_dies_costs_a_whole_answer_nothing(serve: Serve, responses: Responses) -> None:
    died = WorkerError(ErrorKind.WORKER_DIED, "The claude process ended unexpectedly.")
    client = await serve(ScriptedDispatcher([[*THINKING[:6], died], HELLO]), responses=responses)

    body = await ask(client)

    assert [item["type"] for item in body["output"]] == ["message"]


@pytest.mark.promise("errors.retry-after")
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ErrorKind)
async def test_a_job_that_fails_before_its_first_word_has_a_status_of_its_own(
    serve: Serve, kind: ErrorKind, body: dict[str, Any]
) -> None:
    client = await serve(ScriptedDispatcher.always(WorkerError(kind, "It failed.", retry_after=6.2)))

    response = await client.post(PATH, json=body)

    assert 400 <= response.status < 600
    assert "It failed." in (await response.json())["error"]["message"]
    assert response.headers.get("Retry-After") == ("7" if response.status in (429, 503) else None)


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"model": "llama-4"}, 404, "model"),
        ({"model": None}, 422, "model"),
        ({"input": 5}, 422, "input"),
        ({"temperature": 3}, 400, "temperature"),
        ({"max_output_tokens": "9" * 30}, 422, "max_output_tokens"),
        ({"max_output_tokens": 10**30}, 400, "max_output_tokens"),
        ({"reasoning": {"effort": "huge"}}, 422, "reasoning"),
        ({"input": {"object": "response"}}, 400, "input"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, 400, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1_0"}]}, 404, "input.0"),
        ({"tools": [{"type": "custom"}]}, 400, "tools.0.name"),
        ({"previous_response_id": "resp_unknown"}, 400, "previous_response_id"),
        ({"conversation": "conv_1"}, 400, "conversation"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    serve: Serve, responses: Responses, change: dict[str, Any], status: int, named: str
) -> None:
    error = await ask(await serve(responses=responses), status, **change)

    assert named in str(error.get("param") or error["details"])


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
async def test_a_web_socket_is_refused_at_once_and_the_connection_is_not_left_hanging(serve: Serve, path: str) -> None:
    client = await serve()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )

    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 426 ")


async def test_a_plain_get_without_an_id_is_no_path(serve: Serve) -> None:
    response = await (await serve()).get(PATH)

    assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.promise("responses.stored")
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "stream"])
async def test_a_response_is_stored_unless_the_caller_says_otherwise(
    serve: Serve, responses: Responses, body: dict[str, Any]
) -> None:
    client = await serve(responses=responses)
    for store, status in [(None, 200), (True, 200), (False, 404)]:
        text = await (await client.post(PATH, json={**body, "store": store})).text()
        made = orjson.loads(text) if body is ASK else orjson.loads(text.strip().rpartition("data: ")[2])["response"]

        response = await client.get(f"{PATH}/{made['id']}")

        assert response.status == status
        assert status == 404 or await response.json() == made


@pytest.mark.promise("responses.stored")
async def test_a_stream_s_last_event_leaves_when_the_response_is_committed(
    serve: Serve, responses: Responses, database: Database
) -> None:
    client = await serve(responses=responses)
    async with database.transaction():
        response = await client.post(PATH, json=STREAM)
        before = await response.content.readuntil(b"event: response.output_item.done")
    events = await response.text()

    assert b"response.completed" not in before
    assert "event: response.completed" in events


async def test_what_cannot_be_stored_ends_in_an_error_and_not_in_silence(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve()  # without a store at all

    events = await events_of(await client.post(PATH, json=STREAM))

    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    assert "a stream failed" in caplog.text
    assert (await ask(client, 500))["code"] == "internal_error"


@pytest.mark.promise("responses.chain")
async def test_a_chain_asks_the_model_the_whole_conversation(serve: Serve, responses: Responses) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, responses=responses)
    first = await ask(client, input="one", instructions="be brief")
    second = await ask(client, input="two", previous_response_id=first["id"])

    await ask(client, input="three", previous_response_id=second["id"])

    hello = Turn("assistant", (Text("Hello"),))
    assert [(job.system, job.turns) for job in dispatcher.jobs] == [
        ("be brief", (Turn("user", (Text("one"),)),)),
        ("", (Turn("user", (Text("one"),)), hello, Turn("user", (Text("two"),)))),
        ("", (*dispatcher.jobs[1].turns, hello, Turn("user", (Text("three"),)))),
    ]
    assert second["previous_response_id"] == first["id"]


async def test_a_tool_s_result_goes_on_from_the_call_with_its_thought(serve: Serve, responses: Responses) -> None:
    dispatcher = ScriptedDispatcher(
        [[*THINKING[:5], BlockStarted(RedactedThought("x")), BlockEnded(), *CALLING[1:]], HELLO]
    )
    client = await serve(dispatcher, responses=responses)
    first = await ask(client, tools=[FUNCTION], reasoning={"effort": "low"})
    output = {"type": "function_call_output", "call_id": first["output"][2]["call_id"], "output": "18C"}

    await ask(client, input=[output], tools=[FUNCTION], previous_response_id=first["id"])

    assert dispatcher.jobs[1].turns[1:] == (
        Turn("assistant", (Thought("hm", "sig"), RedactedThought("x"), ToolUse("call_1", "f", {"a": 1}))),
        Turn("user", (ToolResult("call_1", (Text("18C"),)),)),
    )


@pytest.mark.promise("responses.chain")
async def test_a_picture_that_was_fetched_is_stored_as_it_was_seen_and_not_fetched_again(
    serve: Serve, responses: Responses
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    async with stranger() as outside:
        url = outside.gives("/a.png", png(colour=7))
        client = await serve(dispatcher, responses=responses, fetch_remote_images=True, fetcher=fetcher_to(outside))
        picture = [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
        first = await ask(client, input=picture)
        outside.gives("/a.png", png(colour=8))

        await ask(client, input="more", previous_response_id=first["id"])

        assert len(outside.asked) == 1
    assert dispatcher.jobs[1].turns[0] == dispatcher.jobs[0].turns[0]


@pytest.mark.promise("responses.reasoning-sealed")
async def test_an_unstored_turn_carries_its_own_thoughts(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher([[*THINKING[:5], *CALLING[1:]], HELLO])
    client = await serve(dispatcher)
    unstored = {"store": False, "include": ["reasoning.encrypted_content"], "tools": [FUNCTION]}
    first = await ask(client, **unstored)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}
    history = [{"role": "user", "content": "hi"}, *first["output"], output]

    await ask(client, input=history, **unstored)

    assert dispatcher.jobs[1].turns[1] == Turn("assistant", (Thought("hm", "sig"), ToolUse("call_1", "f", {"a": 1})))


@pytest.mark.promise("responses.stored")
async def test_items_are_referred_to_by_the_ids_they_were_given(serve: Serve, responses: Responses) -> None:
    dispatcher = ScriptedDispatcher([CALLING, HELLO, HELLO])
    client = await serve(dispatcher, responses=responses)
    first = await ask(client, tools=[FUNCTION])
    said = (await listed(client, first["id"]))["data"][0]["id"]
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}

    second = await ask(client, input=[{"id": said}, reference, output], tools=[FUNCTION])

    assert [turn.role for turn in dispatcher.jobs[1].turns] == ["user", "assistant", "user"]
    assert dispatcher.jobs[1].turns[1].blocks == (ToolUse("call_1", "f", {"a": 1}),)
    kept = (await listed(client, second["id"], order="asc"))["data"]
    assert [item["type"] for item in kept] == ["message", "function_call", "function_call_output"]


@pytest.mark.promise("responses.stored")
async def test_a_thought_that_nobody_asked_to_see_is_referred_to_with_its_item(
    serve: Serve, responses: Responses
) -> None:
    dispatcher = ScriptedDispatcher([[*THINKING[:5], *CALLING[1:]], HELLO])
    client = await serve(dispatcher, responses=responses)
    first = await ask(client, tools=[FUNCTION])
    references = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}

    await ask(client, input=[{"role": "user", "content": "hi"}, *references, output], tools=[FUNCTION])

    assert dispatcher.jobs[1].turns[1] == Turn("assistant", (Thought("hm", "sig"), ToolUse("call_1", "f", {"a": 1})))
    shown = await (await client.get(f"{PATH}/{first['id']}")).json()
    assert shown == first
    assert "encrypted_content" not in str(shown)


async def listed(client: Client, id_: str, **query: Any) -> dict[str, Any]:
    response = await client.get(f"{PATH}/{id_}/input_items", params=query)
    assert response.status == 200
    body: dict[str, Any] = await response.json()
    ResponseItemList.model_validate({**body, "first_id": body["first_id"] or "", "last_id": body["last_id"] or ""})
    return body


@pytest.mark.promise("responses.stored")
async def test_the_input_is_listed_in_pages_the_latest_first(serve: Serve, responses: Responses) -> None:
    client = await serve(responses=responses)
    made = await ask(client, input=[{"role": "user", "content": f"text {n}"} for n in range(5)])

    first = await listed(client, made["id"], limit=2)
    second = await listed(client, made["id"], limit=3, after=first["last_id"])
    oldest = await listed(client, made["id"], order="asc", limit=1)

    texts = [item["content"][0]["text"] for page in (first, second) for item in page["data"]]
    assert texts == [f"text {n}" for n in (4, 3, 2, 1, 0)]
    assert (first["has_more"], second["has_more"], oldest["has_more"]) == (True, False, True)
    assert oldest["first_id"] == oldest["last_id"] == second["last_id"]


async def test_a_string_is_listed_as_the_message_that_it_was(serve: Serve, responses: Responses) -> None:
    client = await serve(responses=responses)
    made = await ask(client)

    (item,) = (await listed(client, made["id"]))["data"]

    assert (item["type"], item["role"], item["content"]) == ("message", "user", [{"type": "input_text", "text": "hi"}])
    assert item["id"].startswith("msg_")


async def test_an_item_keeps_the_id_it_came_with_if_that_is_one(serve: Serve, responses: Responses) -> None:
    client = await serve(responses=responses)
    made = await ask(client, input=[{"role": "user", "content": "hi", "id": id_} for id_ in ("mine", ["x"], None)])

    ids = [item["id"] for item in (await listed(client, made["id"], order="asc"))["data"]]

    assert ids[0] == "mine"
    assert all(id_.startswith("msg_") for id_ in ids[1:])


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "many"}, {"order": "up"}, {"after": "x"}, {"limit": "9" * 50}]
)
async def test_a_page_that_cannot_be_is_a_400_that_names_the_parameter(
    serve: Serve, responses: Responses, query: dict[str, str]
) -> None:
    client = await serve(responses=responses)
    made = await ask(client)

    response = await client.get(f"{PATH}/{made['id']}/input_items", params=query)

    assert (response.status, (await response.json())["error"]["param"]) == (400, next(iter(query)))


class Watched(LoadedMemory):
    """Room without a bound, of which it is known whether some is held."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def hold(self, owner: str, size: int) -> Held:
        self.released.clear()
        return self

    def release(self) -> None:
        self.released.set()


async def store_input(database: Database, text: str, now: float = 0) -> str:
    """A stored response to this text."""
    item = {"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    stored = Stored("resp_1", "completed", b"{}", orjson.dumps([item]))
    await ResponseStore(database, ROOM).add("local", stored, Link((), ()), None, [], now)
    return stored.id


async def test_large_input_is_sent_whole(serve: Serve, responses: Responses, database: Database) -> None:
    client = await serve(responses=responses)
    text = "é" * 2_000_000
    id_ = await store_input(database, text, Clock.time)

    (item,) = (await listed(client, id_))["data"]

    assert item["content"][0]["text"] == text


@pytest.mark.promise("memory.remembered")
async def test_a_reader_who_does_not_read_is_cut_off_and_holds_no_memory(
    serve: Serve, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(slices, "_SLOWEST_BYTES_A_SECOND", 10**9)
    memory = Watched()
    client = await serve(responses=Responses(ResponseStore(database, ROOM), KEY, memory=memory))
    id_ = await store_input(database, "x" * 20_000_000, time.time())
    reader, writer = await asyncio.open_connection(client.host, client.port)
    async with asyncio.timeout(20):
        writer.write(f"GET {PATH}/{id_}/input_items HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await memory.released.wait()
        with contextlib.suppress(ConnectionError):
            assert len(await reader.read()) < 20_000_000
    writer.close()


async def test_a_response_repeats_nothing_that_is_too_large(serve: Serve, responses: Responses) -> None:
    client = await serve(responses=responses, max_request_size=2**20)
    tools = [{**FUNCTION, "description": "x" * 300_000}]

    large = await ask(client, instructions="x" * 300_000, tools=tools)
    small = await ask(client, instructions="x" * 1_000, tools=[FUNCTION])

    assert (large["instructions"], large["tools"]) == (None, [])
    assert (small["instructions"], small["tools"]) == ("x" * 1_000, [FUNCTION])


@pytest.mark.promise("memory.remembered")
@pytest.mark.parametrize("how", [{}, {"stream": True}, {"background": True}], ids=["whole", "stream", "background"])
@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_gone_on_from_is_held_no_longer_than_its_answer_takes(
    serve: Serve, database: Database, how: dict[str, Any], fails: bool
) -> None:
    memory = Watched()
    more = asyncio.Event()
    steps = [WorkerError(ErrorKind.UPSTREAM, "It failed.")] if fails else HELLO
    dispatcher = ScriptedDispatcher([HELLO, [more, *steps]])
    client = await serve(dispatcher, responses=Responses(ResponseStore(database, ROOM), KEY, memory=memory))
    first = await ask(client)
    asking = asyncio.create_task(client.post(PATH, json={**ASK, **how, "previous_response_id": first["id"]}))
    async with asyncio.timeout(20):
        while len(dispatcher.jobs) < 2:  # noqa: ASYNC110 - the dispatcher tells of its first job alone
            await asyncio.sleep(0.001)
        assert not memory.released.is_set()
        more.set()
        await (await asking).read()
        await memory.released.wait()


@pytest.mark.promise("responses.chain")
async def test_a_deleted_response_is_gone_and_its_chain_goes_on(serve: Serve, responses: Responses) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, responses=responses)
    first = await ask(client, input="one")
    second = await ask(client, input="two", previous_response_id=first["id"])

    deleted = await client.delete(f"{PATH}/{first['id']}")

    assert await deleted.json() == {"id": first["id"], "object": "response", "deleted": True}
    assert (await client.get(f"{PATH}/{first['id']}")).status == 404
    assert (await client.delete(f"{PATH}/{first['id']}")).status == 404
    assert (await ask(client, 400, previous_response_id=first["id"]))["code"] == "previous_response_not_found"
    await ask(client, input="three", previous_response_id=second["id"])
    assert len(dispatcher.jobs[-1].turns) == 5


async def test_a_response_deleted_while_it_is_gone_on_from_costs_the_chain_nothing(
    serve: Serve, responses: Responses
) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher([HELLO, [STARTED, more, *HELLO[1:]], HELLO])
    client = await serve(dispatcher, responses=responses)
    first = await ask(client, input="one")
    dispatcher.asked.clear()
    second = asyncio.create_task(ask(client, input="two", previous_response_id=first["id"]))
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()
        await client.delete(f"{PATH}/{first['id']}")
        more.set()
        made = await second

    await ask(client, input="three", previous_response_id=made["id"])

    assert len(dispatcher.jobs[-1].turns) == 5


@pytest.mark.promise("responses.own-key")
async def test_a_response_of_another_key_is_none(serve: Serve, responses: Responses) -> None:
    mine = await ask(await serve(responses=responses))
    theirs = await serve(responses=responses, api_key=SecretStr("another"))
    headers = {"authorization": "Bearer another"}
    path = f"{PATH}/{mine['id']}"

    answers = [
        await theirs.get(path, headers=headers),
        await theirs.delete(path, headers=headers),
        await theirs.post(f"{path}/cancel", headers=headers),
        await theirs.get(f"{path}/input_items", headers=headers),
        await theirs.get(path, params={"stream": "true"}, headers=headers),
        await theirs.post(PATH, json={**ASK, "input": [{"id": mine["output"][0]["id"]}]}, headers=headers),
    ]
    chained = await theirs.post(PATH, json={**ASK, "previous_response_id": mine["id"]}, headers=headers)

    assert [answer.status for answer in answers] == [404] * len(answers)
    assert (chained.status, (await chained.json())["error"]["param"]) == (400, "previous_response_id")


async def test_an_expired_response_is_none(serve: Serve, responses: Responses, clock: Clock) -> None:
    client = await serve(responses=responses)
    made = await ask(client)

    clock.time += 3600

    assert (await client.get(f"{PATH}/{made['id']}")).status == 404
    await ask(client, 400, previous_response_id=made["id"])


async def test_an_answer_that_was_cut_off_can_be_gone_on_from(serve: Serve, responses: Responses) -> None:
    dispatcher = ScriptedDispatcher([[*HELLO[:-1], Finished("max_tokens", Usage())], HELLO])
    client = await serve(dispatcher, responses=responses)
    first = await ask(client)
    assert (first["status"], first["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})

    await ask(client, input="go on", previous_response_id=first["id"])

    assert [turn.role for turn in dispatcher.jobs[1].turns] == ["user", "assistant", "user"]


@pytest.mark.promise("cancel.frees-worker")
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "stream"])
async def test_a_caller_who_leaves_frees_the_worker_and_nothing_is_stored(
    serve: Serve, responses: Responses, database: Database, body: dict[str, Any]
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO[:3], asyncio.Event())
    client = await serve(dispatcher, responses=responses)
    asking = asyncio.create_task(client.post(PATH, json=body))
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()
        if body is STREAM:
            (await asking).close()
        asking.cancel()

        await dispatcher.closed.wait()
        await dispatcher.released.wait()

    assert await database.run("SELECT id FROM responses") == []


async def test_only_what_is_made_in_the_background_can_be_cancelled_or_followed(
    serve: Serve, responses: Responses
) -> None:
    client = await serve(responses=responses)
    made = await ask(client)

    cancelled = await client.post(f"{PATH}/{made['id']}/cancel")
    followed = await client.get(f"{PATH}/{made['id']}", params={"stream": "true"})

    assert (cancelled.status, followed.status) == (400, 400)
