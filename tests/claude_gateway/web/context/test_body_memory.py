"""Memory limit for request bodies: a body waits for free memory, or its request gets a time to retry."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from claude_gateway.auth.key_store import KeyStore
from claude_gateway.storage.database import Database
from claude_gateway.stored_responses.response_store import ResponseLimits, ResponseStore
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.web.context.body_memory import MAX_UNCOUNTED_BYTES, BodyMemory, BodyReservation
from claude_gateway.web.context.state import STATE
from claude_gateway.web.server.connection import CONNECTION_OPTIONS
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, ScriptedWorkerSource, build_scripted_app
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.endpoints.test_admin_keys import ADMIN_HEADERS, API_KEY, bearer, create_key
from tests.workers.helpers import wait_until, with_timeout

KIB, MIB = 1024, 1024 * 1024
LARGE: dict[str, Any] = {**CHAT_BODY, "padding": "x" * (600 * KIB)}
PATHS = {
    "chat": ("/v1/chat/completions", LARGE),
    "responses": ("/v1/responses", {"model": MODEL, "input": "hi", "store": False, "padding": LARGE["padding"]}),
    "messages": ("/v1/messages", {**LARGE, "max_tokens": 9}),
    "gemini": (
        f"/v1beta/models/{MODEL}:generateContent",
        {"contents": [{"parts": [{"text": "hi"}]}], "padding": LARGE["padding"]},
    ),
}
MEMORY_FOR_ONE_BODY = {"max_request_size": MIB, "max_request_memory_mib": 1}


async def wait_for_waiters(memory: BodyMemory, count: int) -> None:
    await wait_until(lambda: memory.waiter_count == count)


async def test_grants_memory_in_order_and_never_exceeds_the_total() -> None:
    memory = BodyMemory(100 * KIB)
    first = await memory.reserve("a", 80 * KIB, 1)
    second = asyncio.create_task(memory.reserve("b", 60 * KIB, 60))
    await wait_for_waiters(memory, 1)
    third = asyncio.create_task(memory.reserve("c", 20 * KIB, 60))
    await wait_for_waiters(memory, 2)

    assert memory.used_bytes == 80 * KIB  # the third would fit, but must wait for the second
    first.release()
    first.release()
    await with_timeout(asyncio.gather(second, third))
    assert memory.used_bytes == 80 * KIB


async def test_one_key_holds_at_most_half_and_does_not_block_another() -> None:
    memory = BodyMemory(100 * KIB)
    await memory.reserve("a", 40 * KIB, 1)
    waiter = asyncio.create_task(memory.reserve("a", 40 * KIB, 60))
    await wait_for_waiters(memory, 1)

    await with_timeout(memory.reserve("b", 40 * KIB, 60))

    assert not waiter.done()
    waiter.cancel()


async def test_accepts_body_larger_than_the_total_if_it_is_the_only_one() -> None:
    memory = BodyMemory(KIB)

    reservation = await memory.reserve("a", MIB, 1)
    with pytest.raises(TimeoutError):
        await memory.reserve("b", MIB, 0.001)
    reservation.release()
    await memory.reserve("b", MIB, 1)


async def test_small_body_never_waits() -> None:
    memory = BodyMemory(KIB)
    await memory.reserve("a", MIB, 1)

    await with_timeout(memory.reserve("a", MAX_UNCOUNTED_BYTES, 60))


async def test_disconnected_waiter_releases_its_memory() -> None:
    memory = BodyMemory(100 * KIB)
    first = await memory.reserve("a", 100 * KIB, 1)
    waiter = asyncio.create_task(memory.reserve("b", 100 * KIB, 60))
    await wait_for_waiters(memory, 1)

    waiter.cancel()
    first.release()
    await asyncio.wait([waiter])

    assert (memory.used_bytes, memory.waiter_count) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 200), st.booleans()), max_size=40))
async def test_accounting_stays_correct_for_any_sequence(steps: list[tuple[str, int, bool]]) -> None:
    memory, reservations = BodyMemory(100 * KIB), list[BodyReservation]()
    for key_id, size, release_first in steps:
        if release_first and reservations:
            reservations.pop(0).release()
        try:
            reservations.append(await memory.reserve(key_id, size * KIB, 0))
        except TimeoutError:
            assert reservations
        reserved_bytes = sum(reservation.size_bytes for reservation in reservations)
        assert memory.used_bytes == reserved_bytes
        assert (
            reserved_bytes <= 100 * KIB
            or len([reservation for reservation in reservations if reservation.size_bytes]) == 1
        )
    for reservation in reservations:
        reservation.release()
    assert (memory.used_bytes, memory.waiter_count) == (0, 0)


@pytest.mark.promise("limits.body-memory")
@pytest.mark.parametrize("dialect", PATHS)
async def test_body_beyond_the_memory_waits_for_earlier_ones(serve: Serve, dialect: str) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    client = await serve(worker_source, **MEMORY_FOR_ONE_BODY)
    path, body = PATHS[dialect]
    memory = client.app[STATE].body_memory

    request_tasks = [asyncio.create_task(client.post(path, json=body)) for _ in range(4)]
    await wait_for_waiters(memory, 3)
    await with_timeout(worker_source.job_started.wait())

    assert len(worker_source.jobs) == 1
    assert memory.used_bytes < MIB
    assert (await client.get("/v1/models")).status == 200
    resume.set()
    assert [response.status for response in await with_timeout(asyncio.gather(*request_tasks))] == [200] * 4
    assert memory.used_bytes == 0


@pytest.mark.promise("limits.body-memory")
@pytest.mark.parametrize(("dialect", "status"), [("chat", 503), ("responses", 503), ("messages", 529), ("gemini", 503)])
async def test_rejects_body_without_memory_in_time_with_a_time_to_retry(
    serve: Serve, dialect: str, status: int
) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    client = await serve(worker_source, **MEMORY_FOR_ONE_BODY, queue_timeout_seconds=0.01)
    path, body = PATHS[dialect]
    request_task = asyncio.create_task(client.post(path, json=body))
    await with_timeout(worker_source.job_started.wait())

    refused = await client.post(path, json=body)

    assert (refused.status, refused.headers["Retry-After"]) == (status, "5")
    assert "MAX_REQUEST_MEMORY_MIB" in (await refused.json())["error"]["message"]
    resume.set()
    assert (await with_timeout(request_task)).status == 200


async def test_key_with_many_large_bodies_leaves_memory_for_another_key(serve: Serve, keys: KeyStore) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    client = await serve(
        worker_source,
        keys=keys,
        api_key=API_KEY,
        max_request_size=MIB,
        max_request_memory_mib=2,
        queue_timeout_seconds=60,
    )
    path, body = PATHS["chat"]
    request_tasks = [asyncio.create_task(client.post(path, json=body, headers=ADMIN_HEADERS)) for _ in range(5)]
    await wait_for_waiters(client.app[STATE].body_memory, 4)
    await with_timeout(worker_source.job_started.wait())
    worker_source.job_started.clear()

    other_task = asyncio.create_task(client.post(path, json=body, headers=bearer(await create_key(client))))

    await with_timeout(worker_source.job_started.wait())
    assert len({job.key_id for job in worker_source.jobs}) == 2
    resume.set()
    assert {response.status for response in await with_timeout(asyncio.gather(*request_tasks, other_task))} == {200}


@pytest.mark.parametrize("compressed", [False, True])
async def test_body_reserves_only_its_actual_size_after_it_was_read(
    aiohttp_client: AiohttpClient, compressed: bool
) -> None:
    """A body without a length or with compression reserves more before the gateway has read it."""
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    app = build_scripted_app(worker_source, max_request_size=10 * MIB, max_request_memory_mib=100)
    server = TestServer(app)
    await server.start_server(**CONNECTION_OPTIONS)
    client = await aiohttp_client(server)
    raw = orjson.dumps(LARGE)
    body = gzip.compress(raw) if compressed else raw

    async def body_chunks() -> Any:
        yield body

    headers = {"content-encoding": "gzip"} if compressed else {}
    data = body if compressed else body_chunks()
    request_task = asyncio.create_task(client.post("/v1/chat/completions", data=data, headers=headers))
    await with_timeout(worker_source.job_started.wait())

    assert app[STATE].body_memory.used_bytes == len(raw) + (len(body) if compressed else 0)
    resume.set()
    assert (await with_timeout(request_task)).status == 200


async def test_background_response_holds_the_memory_of_its_body_until_it_is_complete(
    serve: Serve, database: Database
) -> None:
    resume = asyncio.Event()
    responses = ResponseService(ResponseStore(database, ResponseLimits(3600, 100, 10**9)), b"the key of the tests")
    client = await serve(
        ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS), responses=responses, max_request_size=MIB
    )
    memory = client.app[STATE].body_memory
    path, body = PATHS["responses"]

    response = await client.post(path, json={**body, "store": True, "background": True})

    assert response.status == 200
    assert memory.used_bytes > 600 * KIB
    resume.set()
    await wait_until(lambda: memory.used_bytes == 0)
