"""Tests for `POST /v1/responses` and for the endpoints of stored responses."""

import asyncio
import contextlib
import time
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent
from pydantic import SecretStr, TypeAdapter

from claude_gateway.devtools.cli_contract.sample_media import make_png
from claude_gateway.sessions.loaded_memory import LoadedMemory, MemoryReservation
from claude_gateway.storage.database import Database
from claude_gateway.stored_responses.response_store import ChainLink, ResponseLimits, ResponseStore, StoredResponse
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.web.streaming import chunked_body
from tests.claude_gateway.manual_clock import ManualClock
from tests.claude_gateway.remote_server import create_fetcher, run_remote_server
from tests.claude_gateway.scripted import HELLO_EVENTS, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Finished,
    SignatureDelta,
    ThinkingDelta,
    TokenUsage,
    ToolInputDelta,
)
from workers.core.job import RedactedThinkingBlock, Text, ThinkingBlock, ToolResult, ToolUse, Turn

PATH = "/v1/responses"
REQUEST = {"model": MODEL, "input": "hi"}
STREAM = {**REQUEST, "stream": True}
KEY = b"the key of the tests"
LARGE_LIMITS = ResponseLimits(ttl_seconds=10**9, max_responses=9, max_bytes=10**9)
EVENT_TYPE: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
THINKING = (
    STARTED,
    BlockStarted(ThinkingBlock("", "")),
    ThinkingDelta("hm"),
    SignatureDelta("sig"),
    BlockEnded(),
    *HELLO_EVENTS[1:],
)
CALLING = (
    STARTED,
    *(BlockStarted(ToolUse("call_1", "f", {})), ToolInputDelta('{"a":1}'), BlockEnded()),
    Finished("tool_use", TokenUsage()),
)
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def responses(database: Database, clock: ManualClock) -> ResponseService:
    return ResponseService(
        ResponseStore(database, ResponseLimits(ttl_seconds=3600, max_responses=1_000, max_bytes=10**9)), KEY, clock
    )


async def create_response(client: Client, status: int = 200, **request: Any) -> dict[str, Any]:
    """Send a request and return the response, or the error object if another status is expected."""
    response = await client.post(PATH, json={**REQUEST, **request})
    body: dict[str, Any] = await response.json()
    assert response.status == status, body
    if status == 200:
        Response.model_validate(body)
        return body
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    return error


async def read_events(response: ClientResponse, first: int = 0) -> list[dict[str, Any]]:
    """Return the events of a stream after checking their names, sequence numbers and types."""
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
        EVENT_TYPE.validate_python(event)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(first, first + len(events)))
    return events


async def test_replies_to_a_request_with_a_response(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses)

    body = await create_response(client, metadata={"k": "v"})

    assert (body["object"], body["status"], body["model"], body["metadata"]) == (
        "response",
        "completed",
        MODEL,
        {"k": "v"},
    )
    assert body["output"][0]["content"][0]["text"] == "Hello"
    assert body["usage"]["total_tokens"] == 5


@pytest.mark.promise("responses.events")
async def test_stream_has_every_event_in_documented_order(serve: Serve, responses: ResponseService) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*THINKING), responses=responses)

    events = await read_events(await client.post(PATH, json=STREAM))

    assert [event["type"].removeprefix("response.") for event in events] == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    assert events[-1]["response"]["output"] == [e["item"] for e in events if e["type"] == "response.output_item.done"]


async def test_accepts_paths_without_v1(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses)

    created = await (await client.post("/responses", json=REQUEST)).json()

    assert await (await client.get(f"/responses/{created['id']}")).json() == created


async def test_names_used_model_and_unsupported_parameters_in_headers(serve: Serve) -> None:
    client = await serve()

    for body in ({**REQUEST, "store": False}, {**STREAM, "store": False}):
        response = await client.post(PATH, json={**body, "truncation": "auto"})
        assert response.headers["x-claude-model"] == MODEL
        assert response.headers["x-gateway-warnings"].startswith("truncation: ")


@pytest.mark.promise("stream.error-after-head")
async def test_error_after_the_head_ends_the_stream_with_two_events(serve: Serve) -> None:
    timeout = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.", detail="/home/someone")
    client = await serve(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], timeout))

    events = await read_events(await client.post(PATH, json={**STREAM, "store": False}))

    assert [event["type"] for event in events][-3:] == ["response.output_item.done", "error", "response.failed"]
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "The answer took too long."}
    assert "someone" not in str(events)


@pytest.mark.promise("stream.error-after-head")
async def test_stream_that_fails_at_its_start_still_begins(serve: Serve) -> None:
    failing = asyncio.Event()
    timeout = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.")
    client = await serve(ScriptedWorkerSource.repeating(failing, timeout), stream_head_timeout_seconds=0)

    async with asyncio.timeout(10):
        response = await client.post(PATH, json={**STREAM, "store": False})
    failing.set()

    assert [event["type"] for event in await read_events(response)] == [
        *("response.created", "response.in_progress", "error", "response.failed")
    ]


async def test_retries_silently_if_a_worker_exits(serve: Serve, responses: ResponseService) -> None:
    exited = WorkerError(ErrorKind.WORKER_EXITED, "The claude process ended unexpectedly.")
    client = await serve(ScriptedWorkerSource([[*THINKING[:6], exited], HELLO_EVENTS]), responses=responses)

    body = await create_response(client)

    assert [item["type"] for item in body["output"]] == ["message"]


@pytest.mark.promise("errors.retry-after")
@pytest.mark.parametrize("body", [REQUEST, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ErrorKind)
async def test_job_that_fails_before_its_first_output_has_its_own_status(
    serve: Serve, kind: ErrorKind, body: dict[str, Any]
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(WorkerError(kind, "It failed.", retry_after=6.2)))

    response = await client.post(PATH, json=body)

    assert 400 <= response.status < 600
    assert "It failed." in (await response.json())["error"]["message"]
    assert response.headers.get("Retry-After") == ("7" if response.status in (429, 503) else None)


@pytest.mark.parametrize(
    ("change", "status", "field"),
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
async def test_rejects_invalid_request_and_names_the_field(
    serve: Serve, responses: ResponseService, change: dict[str, Any], status: int, field: str
) -> None:
    error = await create_response(await serve(responses=responses), status, **change)

    assert field in str(error.get("param") or error["details"])


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
async def test_rejects_websocket_immediately(serve: Serve, path: str) -> None:
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


async def test_rejects_get_without_an_id_with_405(serve: Serve) -> None:
    response = await (await serve()).get(PATH)

    assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.promise("responses.stored")
@pytest.mark.parametrize("body", [REQUEST, STREAM], ids=["whole", "stream"])
async def test_stores_response_unless_the_client_disables_it(
    serve: Serve, responses: ResponseService, body: dict[str, Any]
) -> None:
    client = await serve(responses=responses)
    for store, status in [(None, 200), (True, 200), (False, 404)]:
        text = await (await client.post(PATH, json={**body, "store": store})).text()
        created = (
            orjson.loads(text) if body is REQUEST else orjson.loads(text.strip().rpartition("data: ")[2])["response"]
        )

        response = await client.get(f"{PATH}/{created['id']}")

        assert response.status == status
        assert status == 404 or await response.json() == created


@pytest.mark.promise("responses.stored")
async def test_sends_last_event_after_the_response_is_committed(
    serve: Serve, responses: ResponseService, database: Database
) -> None:
    client = await serve(responses=responses)
    async with database.transaction():
        response = await client.post(PATH, json=STREAM)
        before = await response.content.readuntil(b"event: response.output_item.done")
    events = await response.text()

    assert b"response.completed" not in before
    assert "event: response.completed" in events


async def test_storage_failure_ends_in_an_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    client = await serve()  # without a response store

    events = await read_events(await client.post(PATH, json=STREAM))

    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    assert "a stream failed" in caplog.text
    assert (await create_response(client, 500))["code"] == "internal_error"


@pytest.mark.promise("responses.chain")
async def test_continued_response_sends_the_whole_conversation(serve: Serve, responses: ResponseService) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher, responses=responses)
    first = await create_response(client, input="one", instructions="be brief")
    second = await create_response(client, input="two", previous_response_id=first["id"])

    await create_response(client, input="three", previous_response_id=second["id"])

    hello = Turn("assistant", (Text("Hello"),))
    assert [(job.system, job.turns) for job in dispatcher.jobs] == [
        ("be brief", (Turn("user", (Text("one"),)),)),
        ("", (Turn("user", (Text("one"),)), hello, Turn("user", (Text("two"),)))),
        ("", (*dispatcher.jobs[1].turns, hello, Turn("user", (Text("three"),)))),
    ]
    assert second["previous_response_id"] == first["id"]


async def test_tool_result_continues_the_call_with_its_thinking(serve: Serve, responses: ResponseService) -> None:
    dispatcher = ScriptedWorkerSource(
        [[*THINKING[:5], BlockStarted(RedactedThinkingBlock("x")), BlockEnded(), *CALLING[1:]], HELLO_EVENTS]
    )
    client = await serve(dispatcher, responses=responses)
    first = await create_response(client, tools=[FUNCTION], reasoning={"effort": "low"})
    output = {"type": "function_call_output", "call_id": first["output"][2]["call_id"], "output": "18C"}

    await create_response(client, input=[output], tools=[FUNCTION], previous_response_id=first["id"])

    assert dispatcher.jobs[1].turns[1:] == (
        Turn("assistant", (ThinkingBlock("hm", "sig"), RedactedThinkingBlock("x"), ToolUse("call_1", "f", {"a": 1}))),
        Turn("user", (ToolResult("call_1", (Text("18C"),)),)),
    )


@pytest.mark.promise("responses.chain")
async def test_stores_fetched_image_and_does_not_fetch_it_again(serve: Serve, responses: ResponseService) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    async with run_remote_server() as remote_server:
        url = remote_server.set_response("/a.png", make_png(red=7))
        client = await serve(
            dispatcher, responses=responses, fetch_remote_media=True, fetcher=create_fetcher(remote_server)
        )
        image_input = [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
        first = await create_response(client, input=image_input)
        remote_server.set_response("/a.png", make_png(red=8))

        await create_response(client, input="more", previous_response_id=first["id"])

        assert len(remote_server.requests) == 1
    assert dispatcher.jobs[1].turns[0] == dispatcher.jobs[0].turns[0]


@pytest.mark.promise("responses.reasoning-signed")
async def test_unstored_response_carries_its_own_thinking(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource([[*THINKING[:5], *CALLING[1:]], HELLO_EVENTS])
    client = await serve(dispatcher)
    unstored = {"store": False, "include": ["reasoning.encrypted_content"], "tools": [FUNCTION]}
    first = await create_response(client, **unstored)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}
    history = [{"role": "user", "content": "hi"}, *first["output"], output]

    await create_response(client, input=history, **unstored)

    assert dispatcher.jobs[1].turns[1] == Turn(
        "assistant", (ThinkingBlock("hm", "sig"), ToolUse("call_1", "f", {"a": 1}))
    )


@pytest.mark.promise("responses.stored")
async def test_resolves_item_references_by_id(serve: Serve, responses: ResponseService) -> None:
    dispatcher = ScriptedWorkerSource([CALLING, HELLO_EVENTS, HELLO_EVENTS])
    client = await serve(dispatcher, responses=responses)
    first = await create_response(client, tools=[FUNCTION])
    input_item_id = (await list_input_items(client, first["id"]))["data"][0]["id"]
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}

    second = await create_response(client, input=[{"id": input_item_id}, reference, output], tools=[FUNCTION])

    assert [turn.role for turn in dispatcher.jobs[1].turns] == ["user", "assistant", "user"]
    assert dispatcher.jobs[1].turns[1].blocks == (ToolUse("call_1", "f", {"a": 1}),)
    stored_items = (await list_input_items(client, second["id"], order="asc"))["data"]
    assert [item["type"] for item in stored_items] == ["message", "function_call", "function_call_output"]


@pytest.mark.promise("responses.stored")
async def test_item_reference_includes_hidden_thinking(serve: Serve, responses: ResponseService) -> None:
    dispatcher = ScriptedWorkerSource([[*THINKING[:5], *CALLING[1:]], HELLO_EVENTS])
    client = await serve(dispatcher, responses=responses)
    first = await create_response(client, tools=[FUNCTION])
    references = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}

    await create_response(client, input=[{"role": "user", "content": "hi"}, *references, output], tools=[FUNCTION])

    assert dispatcher.jobs[1].turns[1] == Turn(
        "assistant", (ThinkingBlock("hm", "sig"), ToolUse("call_1", "f", {"a": 1}))
    )
    stored = await (await client.get(f"{PATH}/{first['id']}")).json()
    assert stored == first
    assert "encrypted_content" not in str(stored)


async def list_input_items(client: Client, id_: str, **query: Any) -> dict[str, Any]:
    response = await client.get(f"{PATH}/{id_}/input_items", params=query)
    assert response.status == 200
    body: dict[str, Any] = await response.json()
    ResponseItemList.model_validate({**body, "first_id": body["first_id"] or "", "last_id": body["last_id"] or ""})
    return body


@pytest.mark.promise("responses.stored")
async def test_lists_input_items_in_pages_latest_first(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses)
    created = await create_response(client, input=[{"role": "user", "content": f"text {n}"} for n in range(5)])

    first = await list_input_items(client, created["id"], limit=2)
    second = await list_input_items(client, created["id"], limit=3, after=first["last_id"])
    oldest = await list_input_items(client, created["id"], order="asc", limit=1)

    texts = [item["content"][0]["text"] for page in (first, second) for item in page["data"]]
    assert texts == [f"text {n}" for n in (4, 3, 2, 1, 0)]
    assert (first["has_more"], second["has_more"], oldest["has_more"]) == (True, False, True)
    assert oldest["first_id"] == oldest["last_id"] == second["last_id"]


async def test_lists_string_input_as_a_message(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses)
    created = await create_response(client)

    (item,) = (await list_input_items(client, created["id"]))["data"]

    assert (item["type"], item["role"], item["content"]) == ("message", "user", [{"type": "input_text", "text": "hi"}])
    assert item["id"].startswith("msg_")


async def test_item_keeps_its_valid_id(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses)
    created = await create_response(
        client, input=[{"role": "user", "content": "hi", "id": id_} for id_ in ("mine", ["x"], None)]
    )

    ids = [item["id"] for item in (await list_input_items(client, created["id"], order="asc"))["data"]]

    assert ids[0] == "mine"
    assert all(id_.startswith("msg_") for id_ in ids[1:])


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "many"}, {"order": "up"}, {"after": "x"}, {"limit": "9" * 50}]
)
async def test_rejects_invalid_page_parameter_with_400_that_names_it(
    serve: Serve, responses: ResponseService, query: dict[str, str]
) -> None:
    client = await serve(responses=responses)
    created = await create_response(client)

    response = await client.get(f"{PATH}/{created['id']}/input_items", params=query)

    assert (response.status, (await response.json())["error"]["param"]) == (400, next(iter(query)))


class RecordingMemory(LoadedMemory):
    """Memory without a limit, which records whether a reservation was released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def reserve(self, key_id: str, size_bytes: int) -> MemoryReservation:
        self.released.clear()
        return self

    def release(self) -> None:
        self.released.set()


async def store_input(database: Database, text: str, now: float = 0) -> str:
    """Store a response whose input is this text, and return its id."""
    item = {"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    stored = StoredResponse("resp_1", "completed", b"{}", orjson.dumps([item]))
    await ResponseStore(database, LARGE_LIMITS).add("local", stored, ChainLink((), ()), None, [], now)
    return stored.id


async def test_sends_large_input_items_completely(
    serve: Serve, responses: ResponseService, database: Database, clock: ManualClock
) -> None:
    client = await serve(responses=responses)
    text = "é" * 2_000_000
    id_ = await store_input(database, text, clock.now)

    (item,) = (await list_input_items(client, id_))["data"]

    assert item["content"][0]["text"] == text


@pytest.mark.promise("memory.loaded-conversations")
async def test_closes_connection_of_a_client_that_does_not_read_and_frees_its_memory(
    serve: Serve, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked_body, "_BASE_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(chunked_body, "_MIN_BYTES_PER_SECOND", 10**9)
    memory = RecordingMemory()
    client = await serve(responses=ResponseService(ResponseStore(database, LARGE_LIMITS), KEY, loaded_memory=memory))
    id_ = await store_input(database, "x" * 20_000_000, time.time())
    reader, writer = await asyncio.open_connection(client.host, client.port)
    async with asyncio.timeout(20):
        writer.write(f"GET {PATH}/{id_}/input_items HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await memory.released.wait()
        with contextlib.suppress(ConnectionError):
            assert len(await reader.read()) < 20_000_000
    writer.close()


async def test_response_does_not_echo_too_large_fields(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses, max_request_size=2**20)
    tools = [{**FUNCTION, "description": "x" * 300_000}]

    large = await create_response(client, instructions="x" * 300_000, tools=tools)
    small = await create_response(client, instructions="x" * 1_000, tools=[FUNCTION])

    assert (large["instructions"], large["tools"]) == (None, [])
    assert (small["instructions"], small["tools"]) == ("x" * 1_000, [FUNCTION])


@pytest.mark.promise("memory.loaded-conversations")
@pytest.mark.parametrize("mode", [{}, {"stream": True}, {"background": True}], ids=["whole", "stream", "background"])
@pytest.mark.parametrize("fails", [False, True])
async def test_loaded_conversation_is_released_after_its_reply(
    serve: Serve, database: Database, mode: dict[str, Any], fails: bool
) -> None:
    memory = RecordingMemory()
    more = asyncio.Event()
    steps = [WorkerError(ErrorKind.UPSTREAM_ERROR, "It failed.")] if fails else HELLO_EVENTS
    dispatcher = ScriptedWorkerSource([HELLO_EVENTS, [more, *steps]])
    client = await serve(
        dispatcher, responses=ResponseService(ResponseStore(database, LARGE_LIMITS), KEY, loaded_memory=memory)
    )
    first = await create_response(client)
    pending = asyncio.create_task(client.post(PATH, json={**REQUEST, **mode, "previous_response_id": first["id"]}))
    async with asyncio.timeout(20):
        while len(dispatcher.jobs) < 2:  # noqa: ASYNC110 - the dispatcher signals only its first job
            await asyncio.sleep(0.001)
        assert not memory.released.is_set()
        more.set()
        await (await pending).read()
        await memory.released.wait()


@pytest.mark.promise("responses.chain")
async def test_chain_continues_after_deletion_of_one_response(serve: Serve, responses: ResponseService) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher, responses=responses)
    first = await create_response(client, input="one")
    second = await create_response(client, input="two", previous_response_id=first["id"])

    deleted = await client.delete(f"{PATH}/{first['id']}")

    assert await deleted.json() == {"id": first["id"], "object": "response", "deleted": True}
    assert (await client.get(f"{PATH}/{first['id']}")).status == 404
    assert (await client.delete(f"{PATH}/{first['id']}")).status == 404
    assert (await create_response(client, 400, previous_response_id=first["id"]))[
        "code"
    ] == "previous_response_not_found"
    await create_response(client, input="three", previous_response_id=second["id"])
    assert len(dispatcher.jobs[-1].turns) == 5


async def test_chain_survives_deletion_of_the_continued_response(serve: Serve, responses: ResponseService) -> None:
    more = asyncio.Event()
    dispatcher = ScriptedWorkerSource([HELLO_EVENTS, [STARTED, more, *HELLO_EVENTS[1:]], HELLO_EVENTS])
    client = await serve(dispatcher, responses=responses)
    first = await create_response(client, input="one")
    dispatcher.job_started.clear()
    second = asyncio.create_task(create_response(client, input="two", previous_response_id=first["id"]))
    async with asyncio.timeout(10):
        await dispatcher.job_started.wait()
        await client.delete(f"{PATH}/{first['id']}")
        more.set()
        created = await second

    await create_response(client, input="three", previous_response_id=created["id"])

    assert len(dispatcher.jobs[-1].turns) == 5


@pytest.mark.promise("responses.own-key")
async def test_hides_responses_of_other_keys(serve: Serve, responses: ResponseService) -> None:
    own_response = await create_response(await serve(responses=responses))
    other_client = await serve(responses=responses, api_key=SecretStr("another"))
    headers = {"authorization": "Bearer another"}
    path = f"{PATH}/{own_response['id']}"

    responses_to_other_key = [
        await other_client.get(path, headers=headers),
        await other_client.delete(path, headers=headers),
        await other_client.post(f"{path}/cancel", headers=headers),
        await other_client.get(f"{path}/input_items", headers=headers),
        await other_client.get(path, params={"stream": "true"}, headers=headers),
        await other_client.post(
            PATH, json={**REQUEST, "input": [{"id": own_response["output"][0]["id"]}]}, headers=headers
        ),
    ]
    chained = await other_client.post(
        PATH, json={**REQUEST, "previous_response_id": own_response["id"]}, headers=headers
    )

    assert [response.status for response in responses_to_other_key] == [404] * len(responses_to_other_key)
    assert (chained.status, (await chained.json())["error"]["param"]) == (400, "previous_response_id")


async def test_expired_response_does_not_exist(serve: Serve, responses: ResponseService, clock: ManualClock) -> None:
    client = await serve(responses=responses)
    created = await create_response(client)

    clock.now += 3600

    assert (await client.get(f"{PATH}/{created['id']}")).status == 404
    await create_response(client, 400, previous_response_id=created["id"])


async def test_truncated_response_can_be_continued(serve: Serve, responses: ResponseService) -> None:
    dispatcher = ScriptedWorkerSource([[*HELLO_EVENTS[:-1], Finished("max_tokens", TokenUsage())], HELLO_EVENTS])
    client = await serve(dispatcher, responses=responses)
    first = await create_response(client)
    assert (first["status"], first["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})

    await create_response(client, input="continue", previous_response_id=first["id"])

    assert [turn.role for turn in dispatcher.jobs[1].turns] == ["user", "assistant", "user"]


@pytest.mark.promise("cancel.frees-worker")
@pytest.mark.parametrize("body", [REQUEST, STREAM], ids=["whole", "stream"])
async def test_disconnected_client_releases_the_worker_and_nothing_is_stored(
    serve: Serve, responses: ResponseService, database: Database, body: dict[str, Any]
) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], asyncio.Event())
    client = await serve(dispatcher, responses=responses)
    pending = asyncio.create_task(client.post(PATH, json=body))
    async with asyncio.timeout(10):
        await dispatcher.job_started.wait()
        if body is STREAM:
            (await pending).close()
        pending.cancel()

        await dispatcher.events_closed.wait()
        await dispatcher.worker_released.wait()

    assert await database.execute("SELECT id FROM responses") == []


async def test_only_background_responses_can_be_cancelled_or_followed(serve: Serve, responses: ResponseService) -> None:
    client = await serve(responses=responses)
    created = await create_response(client)

    cancelled = await client.post(f"{PATH}/{created['id']}/cancel")
    followed = await client.get(f"{PATH}/{created['id']}", params={"stream": "true"})

    assert (cancelled.status, followed.status) == (400, 400)
