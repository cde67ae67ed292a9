"""The bodies of all requests have a bounded memory: the next one waits for room, or is told when to come back."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from claude_gateway.responses.register import Responses
from claude_gateway.stores.db import Database
from claude_gateway.stores.keys import KeyStore
from claude_gateway.stores.responses import ResponseStore, Room
from claude_gateway.web.body_memory import UNCOUNTED_BYTES, BodyMemory, Held
from claude_gateway.web.connection import CONNECTION_OPTIONS
from claude_gateway.web.parts import PARTS
from tests.claude_gateway.scripted import CHAT, HELLO, MODEL, ScriptedDispatcher, scripted_app
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.test_admin_keys import API_KEY, OWNER, bearer, make
from tests.workers.helpers import soon, until

KIB, MIB = 1024, 1024 * 1024
LARGE: dict[str, Any] = {**CHAT, "padding": "x" * (600 * KIB)}
PATHS = {
    "chat": ("/v1/chat/completions", LARGE),
    "responses": ("/v1/responses", {"model": MODEL, "input": "hi", "store": False, "padding": LARGE["padding"]}),
    "messages": ("/v1/messages", {**LARGE, "max_tokens": 9}),
    "gemini": (
        f"/v1beta/models/{MODEL}:generateContent",
        {"contents": [{"parts": [{"text": "hi"}]}], "padding": LARGE["padding"]},
    ),
}
ROOM_FOR_ONE = {"max_request_size": MIB, "request_memory_mib": 1}


async def all_waiting(memory: BodyMemory, count: int) -> None:
    await until(lambda: memory.waiting == count)


async def test_room_goes_to_the_first_that_waits_and_never_beyond_the_total() -> None:
    memory = BodyMemory(100 * KIB)
    first = await memory.hold("a", 80 * KIB, 1)
    second = asyncio.create_task(memory.hold("b", 60 * KIB, 60))
    await all_waiting(memory, 1)
    third = asyncio.create_task(memory.hold("c", 20 * KIB, 60))
    await all_waiting(memory, 2)

    assert memory.used == 80 * KIB  # the third would fit, but does not overtake
    first.release()
    first.release()
    await soon(asyncio.gather(second, third))
    assert memory.used == 80 * KIB


async def test_one_key_holds_half_at_most_and_does_not_hold_up_another() -> None:
    memory = BodyMemory(100 * KIB)
    await memory.hold("a", 40 * KIB, 1)
    more = asyncio.create_task(memory.hold("a", 40 * KIB, 60))
    await all_waiting(memory, 1)

    await soon(memory.hold("b", 40 * KIB, 60))

    assert not more.done()
    more.cancel()


async def test_a_body_larger_than_everything_is_taken_alone() -> None:
    memory = BodyMemory(KIB)

    held = await memory.hold("a", MIB, 1)
    with pytest.raises(TimeoutError):
        await memory.hold("b", MIB, 0.001)
    held.release()
    await memory.hold("b", MIB, 1)


async def test_a_small_body_is_never_kept_waiting() -> None:
    memory = BodyMemory(KIB)
    await memory.hold("a", MIB, 1)

    await soon(memory.hold("a", UNCOUNTED_BYTES, 60))


async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind() -> None:
    memory = BodyMemory(100 * KIB)
    first = await memory.hold("a", 100 * KIB, 1)
    leaver = asyncio.create_task(memory.hold("b", 100 * KIB, 60))
    await all_waiting(memory, 1)

    leaver.cancel()
    first.release()
    await asyncio.wait([leaver])

    assert (memory.used, memory.waiting) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 200), st.booleans()), max_size=40))
async def test_however_bodies_come_and_go_the_books_are_right(steps: list[tuple[str, int, bool]]) -> None:
    memory, held = BodyMemory(100 * KIB), list[Held]()
    for owner, size, leaves in steps:
        if leaves and held:
            held.pop(0).release()
        try:
            held.append(await memory.hold(owner, size * KIB, 0))
        except TimeoutError:
            assert held
        counted = sum(one.size for one in held)
        assert memory.used == counted
        assert counted <= 100 * KIB or len([one for one in held if one.size]) == 1
    for one in held:
        one.release()
    assert (memory.used, memory.waiting) == (0, 0)


@pytest.mark.promise("limits.body-memory")
@pytest.mark.parametrize("dialect", PATHS)
async def test_bodies_beyond_the_memory_wait_for_those_before_them(serve: Serve, dialect: str) -> None:
    go_on = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(go_on, *HELLO)
    client = await serve(dispatcher, **ROOM_FOR_ONE)
    path, body = PATHS[dialect]
    memory = client.app[PARTS].body_memory

    running = [asyncio.create_task(client.post(path, json=body)) for _ in range(4)]
    await all_waiting(memory, 3)
    await soon(dispatcher.asked.wait())

    assert len(dispatcher.jobs) == 1
    assert memory.used < MIB
    assert (await client.get("/v1/models")).status == 200
    go_on.set()
    assert [response.status for response in await soon(asyncio.gather(*running))] == [200] * 4
    assert memory.used == 0


@pytest.mark.promise("limits.body-memory")
@pytest.mark.parametrize(("dialect", "status"), [("chat", 503), ("responses", 503), ("messages", 529), ("gemini", 503)])
async def test_a_body_for_which_no_room_comes_is_told_when_to_try_again(
    serve: Serve, dialect: str, status: int
) -> None:
    go_on = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(go_on, *HELLO)
    client = await serve(dispatcher, **ROOM_FOR_ONE, queue_timeout_seconds=0.01)
    path, body = PATHS[dialect]
    running = asyncio.create_task(client.post(path, json=body))
    await soon(dispatcher.asked.wait())

    refused = await client.post(path, json=body)

    assert (refused.status, refused.headers["Retry-After"]) == (status, "5")
    assert "REQUEST_MEMORY_MIB" in (await refused.json())["error"]["message"]
    go_on.set()
    assert (await soon(running)).status == 200


async def test_a_key_with_many_large_bodies_leaves_room_for_another_key(serve: Serve, keys: KeyStore) -> None:
    go_on = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(go_on, *HELLO)
    client = await serve(
        dispatcher, keys=keys, api_key=API_KEY, max_request_size=MIB, request_memory_mib=2, queue_timeout_seconds=60
    )
    path, body = PATHS["chat"]
    many = [asyncio.create_task(client.post(path, json=body, headers=OWNER)) for _ in range(5)]
    await all_waiting(client.app[PARTS].body_memory, 4)
    await soon(dispatcher.asked.wait())
    dispatcher.asked.clear()

    other = asyncio.create_task(client.post(path, json=body, headers=bearer(await make(client))))

    await soon(dispatcher.asked.wait())
    assert len({job.owner for job in dispatcher.jobs}) == 2
    go_on.set()
    assert {response.status for response in await soon(asyncio.gather(*many, other))} == {200}


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_body_holds_what_it_takes_once_it_is_read(aiohttp_client: AiohttpClient, compressed: bool) -> None:
    """Whatever it might have been: a body without a length, or a packed one."""
    go_on = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(go_on, *HELLO)
    app = scripted_app(dispatcher, max_request_size=10 * MIB, request_memory_mib=100)
    server = TestServer(app)
    await server.start_server(**CONNECTION_OPTIONS)
    client = await aiohttp_client(server)
    raw = orjson.dumps(LARGE)
    sent = gzip.compress(raw) if compressed else raw

    async def pieces() -> Any:
        yield sent

    headers = {"content-encoding": "gzip"} if compressed else {}
    data = sent if compressed else pieces()
    running = asyncio.create_task(client.post("/v1/chat/completions", data=data, headers=headers))
    await soon(dispatcher.asked.wait())

    assert app[PARTS].body_memory.used == len(raw) + (len(sent) if compressed else 0)
    go_on.set()
    assert (await soon(running)).status == 200


async def test_a_response_in_the_background_holds_its_body_until_it_is_made(serve: Serve, database: Database) -> None:
    go_on = asyncio.Event()
    responses = Responses(ResponseStore(database, Room(3600, 100, 10**9)), b"the key of the tests")
    client = await serve(ScriptedDispatcher.always(go_on, *HELLO), responses=responses, max_request_size=MIB)
    memory = client.app[PARTS].body_memory
    path, body = PATHS["responses"]

    response = await client.post(path, json={**body, "store": True, "background": True})

    assert response.status == 200
    assert memory.used > 600 * KIB
    go_on.set()
    await until(lambda: memory.used == 0)
