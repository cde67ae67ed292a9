"""Second check of waiting jobs before they start: the key, its scopes, its models, its budget and its limits."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr

from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import KeyStore
from claude_gateway.auth.schemas import CreateKeyRequest, KeyBudgetRequest, UpdateKeyRequest
from claude_gateway.builtin_tools.choice_store import ToolChoiceStore
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.builtin_tools.service import BuiltinToolService
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import Database
from claude_gateway.stored_responses.response_store import ResponseLimits, ResponseStore
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.web.context.state import STATE
from tests.claude_gateway.mcp_servers.scripted import create_empty_manager
from tests.claude_gateway.scripted import (
    CHAT_BODY,
    FINISHED,
    HELLO_EVENTS,
    MODEL,
    STARTED,
    STREAM_BODY,
    ScriptedEngine,
    ScriptedWorkerSource,
)
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import TIMEOUT_SECONDS
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import BlockEnded, BlockStarted, TextDelta
from workers.core.job import Text

CHAT_PATH, RESPONSES_PATH = "/v1/chat/completions", "/v1/responses"
MESSAGES_BODY = {"model": MODEL, "max_tokens": 9, "messages": CHAT_BODY["messages"]}
GEMINI_BODY = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
LIMITS = SessionLimits(
    ttl_seconds=3600, max_sessions_per_key=100, max_bytes_per_session=100_000, max_bytes_per_key=200_000
)
WORKER_EXIT = WorkerError(ErrorKind.WORKER_EXITED, "It ended.")
INVALID_JSON_EVENTS = (STARTED, BlockStarted(Text("")), TextDelta("no JSON"), BlockEnded(), FINISHED)

# Requests that wait for a worker: each dialect, a body and a stream, one job and several.
REQUESTS: dict[str, tuple[str, Any]] = {
    "chat": (CHAT_PATH, CHAT_BODY),
    "stream": (CHAT_PATH, STREAM_BODY),
    "choices": (CHAT_PATH, {**CHAT_BODY, "n": 3}),
    "messages": ("/v1/messages", MESSAGES_BODY),
    "responses": (RESPONSES_PATH, {"model": MODEL, "input": "hi", "store": False}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", GEMINI_BODY),
    "json": (CHAT_PATH, {**CHAT_BODY, "response_format": SCHEMA}),
}


@dataclass
class GatedQueueGateway:
    """A gateway with one key. Jobs wait in the queue until a test calls `open_queue`."""

    client: Client
    worker_source: ScriptedWorkerSource
    keys: KeyService
    database: Database
    id: str
    secret: str
    session_locks: SessionLocks

    async def ask(self, path: str = CHAT_PATH, body: Any = CHAT_BODY) -> ClientResponse:
        return await self.client.post(path, json=body, headers={"x-api-key": self.secret})

    async def ask_while(self, change: Awaitable[Any], path: str = CHAT_PATH, body: Any = CHAT_BODY) -> ClientResponse:
        """Send a request, await `change` while its job waits, and return the response."""
        request_task = asyncio.create_task(self.ask(path, body))
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.worker_source.job_waiting.wait()
            await change
            self.open_queue()
            return await request_task

    def open_queue(self) -> None:
        assert self.worker_source.queue_gate is not None
        self.worker_source.queue_gate.set()

    async def change_rights(self, **allowed: Any) -> None:
        """Change the rights of the key in the database, as another process could."""
        store = self.keys.store
        async with self.database.transaction() as run:
            ((allowed_json,),) = await run("SELECT allowed FROM keys WHERE id = ?", (self.id,))
            store._change_counter.increment()
            await run(
                "UPDATE keys SET allowed = ? WHERE id = ?",
                (orjson.dumps(orjson.loads(allowed_json) | allowed), self.id),
            )

    async def expire(self) -> None:
        async with self.database.transaction() as run:
            self.keys.store._change_counter.increment()
            await run("UPDATE keys SET expires_at = ? WHERE id = ?", (time.time() - 1, self.id))

    async def results(self) -> list[str]:
        await self.client.app[STATE].usage_recorder.flush()
        return [result for (result,) in await self.database.execute("SELECT result FROM usage_records ORDER BY id")]


Start = Callable[..., Awaitable[GatedQueueGateway]]


@pytest.fixture
async def start(serve: Serve, keys: KeyStore) -> Start:
    database = keys._database

    async def started(*attempts: Any, new_key: CreateKeyRequest | None = None, **changes: Any) -> GatedQueueGateway:
        stored_key, secret = await KeyService(keys).create_key(
            new_key or CreateKeyRequest(name="one", scopes=["chat", "tools"])
        )
        worker_source = ScriptedWorkerSource(attempts or [HELLO_EVENTS] * 9, asyncio.Event())
        session_locks = SessionLocks(10, TIMEOUT_SECONDS)
        client = await serve(
            worker_source,
            keys=keys,
            usage_recorder=UsageRecorder(UsageStore(database)),
            sessions=SessionService(SessionStore(database), LIMITS, session_locks),
            builtin_tools=BuiltinToolService(
                ScriptedEngine(), ToolChoiceStore(database), ToolCounters(), create_empty_manager()
            ),
            responses=ResponseService(
                ResponseStore(database, ResponseLimits(3600, 100, 10**9)), b"the key of the tests"
            ),
            **{"stream_head_timeout_seconds": TIMEOUT_SECONDS, **changes},
        )
        return GatedQueueGateway(
            client, worker_source, KeyService(keys), database, stored_key.key.id, secret, session_locks
        )

    return started


@pytest.mark.promise("keys.waiting-jobs")
@pytest.mark.parametrize(("path", "body"), REQUESTS.values(), ids=REQUESTS)
async def test_rejects_waiting_job_of_a_revoked_key_with_401(start: Start, path: str, body: Any) -> None:
    gateway = await start()

    response = await gateway.ask_while(gateway.keys.revoke_key(gateway.id), path, body)

    assert response.status == 401, await response.text()
    assert gateway.worker_source.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
async def test_rejects_waiting_job_of_an_expired_or_rotated_key_with_401(start: Start) -> None:
    gateway = await start()

    rotated = await gateway.ask_while(gateway.keys.rotate_key(gateway.id))
    assert (rotated.status, (await rotated.json())["error"]["code"]) == (401, "invalid_api_key")

    other = await start()
    expired = await other.ask_while(other.expire())
    assert (expired.status, (await expired.json())["error"]["code"]) == (401, "expired_api_key")
    assert gateway.worker_source.jobs == other.worker_source.jobs == []


async def test_waiting_job_is_not_started_if_the_key_of_the_environment_changes(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource([HELLO_EVENTS], asyncio.Event())
    client = await serve(worker_source, api_key=SecretStr("old"))
    request_task = asyncio.create_task(client.post(CHAT_PATH, json=CHAT_BODY, headers={"x-api-key": "old"}))
    await worker_source.job_waiting.wait()

    client.app[STATE].authenticator.set_environment_key("new")
    assert worker_source.queue_gate is not None
    worker_source.queue_gate.set()

    assert (await request_task).status == 401
    assert worker_source.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
@pytest.mark.parametrize(
    ("allowed", "body", "code"),
    [
        ({"scopes": ["mcp"]}, CHAT_BODY, "missing_scope"),
        ({"scopes": ["chat"]}, {**CHAT_BODY, "enable_tools": True}, "missing_scope"),
        ({"models": ["claude-haiku-*"]}, CHAT_BODY, "model_not_allowed"),
    ],
)
async def test_rejects_waiting_job_whose_key_lost_scope_or_model_with_403(
    start: Start, allowed: dict[str, Any], body: Any, code: str
) -> None:
    gateway = await start()

    response = await gateway.ask_while(gateway.change_rights(**allowed), body=body)

    assert (response.status, (await response.json())["error"]["code"]) == (403, code)
    assert gateway.worker_source.jobs == []
    assert await gateway.results() == [code]


async def test_usage_record_of_a_rejected_waiting_job_has_the_reason(start: Start) -> None:
    gateway = await start(new_key=CreateKeyRequest(name="one", max_concurrent_jobs=4))

    await gateway.ask_while(gateway.keys.revoke_key(gateway.id))

    assert await gateway.results() == ["invalid_api_key"]


async def test_lowered_concurrency_limit_applies_to_waiting_jobs(start: Start) -> None:
    resume = asyncio.Event()
    gateway = await start(
        [STARTED, resume, *HELLO_EVENTS[1:]], HELLO_EVENTS, new_key=CreateKeyRequest(name="one", max_concurrent_jobs=4)
    )
    first = asyncio.create_task(gateway.ask())
    await gateway.worker_source.job_waiting.wait()
    gateway.worker_source.job_waiting.clear()

    second = await gateway.ask_while(gateway.keys.update_key(gateway.id, UpdateKeyRequest(max_concurrent_jobs=1)))
    resume.set()

    assert (second.status, (await second.json())["error"]["code"]) == (429, "concurrency_limit_exceeded")
    assert (await first).status == 200
    assert sorted(await gateway.results()) == ["concurrency_limit_exceeded", "ok"]


async def test_waiting_job_keeps_its_group_and_later_jobs_have_the_new_one(start: Start) -> None:
    gateway = await start(new_key=CreateKeyRequest(name="one", group="family"))
    change = gateway.keys.update_key(gateway.id, UpdateKeyRequest(group="team"))

    assert (await gateway.ask_while(change)).status == 200
    assert (await gateway.ask()).status == 200
    await gateway.keys.update_key(gateway.id, UpdateKeyRequest(group=None))
    assert (await gateway.ask()).status == 200

    assert [job.group for job in gateway.worker_source.jobs] == ["family", "team", ""]


@pytest.mark.promise("keys.waiting-jobs")
async def test_waiting_background_response_of_a_revoked_key_is_not_started(start: Start) -> None:
    gateway = await start()
    body = {"model": MODEL, "input": "hi", "background": True}
    response = await (await gateway.ask(RESPONSES_PATH, body)).json()
    await gateway.worker_source.job_waiting.wait()

    await gateway.keys.revoke_key(gateway.id)
    gateway.open_queue()
    await gateway.client.app[STATE].background_responses.wait_idle()

    failed = await gateway.client.app[STATE].stored_responses.get_response(gateway.id, response["id"])
    assert failed["status"] == "failed"
    assert gateway.worker_source.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
async def test_request_waiting_for_its_session_is_not_started_for_a_revoked_key(start: Start) -> None:
    gateway = await start()
    async with gateway.client.app[STATE].sessions.open_session(gateway.id, "s"):
        request_task = asyncio.create_task(gateway.ask(body={**CHAT_BODY, "session_id": "s"}))
        while not gateway.session_locks.waiting_count:  # noqa: ASYNC110 - a lock has no event for waiters
            await asyncio.sleep(0)
        await gateway.keys.revoke_key(gateway.id)
    gateway.open_queue()

    assert (await request_task).status == 401
    assert gateway.worker_source.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
async def test_repair_reply_is_not_requested_for_a_revoked_key(start: Start) -> None:
    resume = asyncio.Event()
    gateway = await start([STARTED, resume, *INVALID_JSON_EVENTS[1:]], HELLO_EVENTS)
    gateway.open_queue()
    request_task = asyncio.create_task(gateway.ask(body={**CHAT_BODY, "response_format": {"type": "json_object"}}))
    await gateway.worker_source.job_started.wait()

    await gateway.keys.revoke_key(gateway.id)
    resume.set()

    assert (await request_task).status == 401
    assert len(gateway.worker_source.jobs) == 1


async def test_job_is_not_retried_for_a_revoked_key(start: Start) -> None:
    resume = asyncio.Event()
    gateway = await start([resume, WORKER_EXIT], HELLO_EVENTS)
    gateway.open_queue()
    request_task = asyncio.create_task(gateway.ask())
    await gateway.worker_source.job_started.wait()

    await gateway.keys.revoke_key(gateway.id)
    resume.set()

    assert (await request_task).status == 401
    assert len(gateway.worker_source.jobs) == 1


async def test_running_job_completes_if_its_key_is_revoked(start: Start) -> None:
    resume = asyncio.Event()
    gateway = await start([STARTED, resume, *HELLO_EVENTS[1:]])
    gateway.open_queue()
    request_task = asyncio.create_task(gateway.ask())
    await gateway.worker_source.job_started.wait()

    await gateway.keys.revoke_key(gateway.id)
    resume.set()

    assert (await request_task).status == 200


@pytest.mark.promise("budget.concurrent-jobs")
@pytest.mark.parametrize("body", [CHAT_BODY, {**CHAT_BODY, "n": 8}], ids=["one-each", "choices"])
async def test_waiting_jobs_together_do_not_exceed_a_small_budget(start: Start, body: Any) -> None:
    """Each job spends 5 tokens: after the first two the budget of 8 is spent."""
    budget = CreateKeyRequest(name="one", budget=KeyBudgetRequest(tokens_per_day=8))
    gateway = await start(new_key=budget)
    gateway.open_queue()

    async with asyncio.timeout(TIMEOUT_SECONDS):
        responses = await asyncio.gather(*(gateway.ask(body=body) for _ in range(10)))

    errors = [(await response.json())["error"] for response in responses if response.status != 200]
    assert {error["code"] for error in errors} == {"budget_exceeded"}
    assert (await gateway.results()).count("ok") == len(gateway.worker_source.jobs) == 2


@pytest.mark.promise("budget.concurrent-jobs")
async def test_jobs_of_a_key_with_enough_budget_run_concurrently(start: Start) -> None:
    resume = asyncio.Event()
    new_key = CreateKeyRequest(name="one", budget=KeyBudgetRequest(tokens_per_day=1_000_000, usd_per_day=50))
    gateway = await start(*[[STARTED, resume, *HELLO_EVENTS[1:]]] * 20, new_key=new_key)
    gateway.open_queue()
    request_tasks = [asyncio.create_task(gateway.ask()) for _ in range(20)]

    async with asyncio.timeout(TIMEOUT_SECONDS):
        while gateway.worker_source.leased_count < 20:  # noqa: ASYNC110 - `job_started` is set at the first job
            await asyncio.sleep(0)
        resume.set()
        assert {(await task).status for task in request_tasks} == {200}


async def test_rejects_waiting_job_with_429_if_the_budget_is_spent_meanwhile(start: Start) -> None:
    gateway = await start()

    response = await gateway.ask_while(gateway.change_rights(tokens_per_day=0))

    assert (response.status, (await response.json())["error"]["code"]) == (429, "budget_exceeded")
    assert gateway.worker_source.jobs == []
    assert await gateway.results() == ["budget_exceeded"]


@pytest.mark.promise("keys.waiting-jobs")
async def test_request_of_a_key_revoked_during_its_body_changes_nothing(start: Start) -> None:
    gateway = await start(new_key=CreateKeyRequest(name="one", scopes=["admin"]))
    body_started = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"name":'
        body_started.set()
        await revoked.wait()
        yield b'"another"}'

    revoked = asyncio.Event()
    headers = {"x-api-key": gateway.secret}
    request_task = asyncio.create_task(gateway.client.post("/v1/admin/keys", data=body(), headers=headers))
    await body_started.wait()
    while not gateway.client.app[STATE].body_memory.used_bytes:  # noqa: ASYNC110 - the memory has no event
        await asyncio.sleep(0)
    await gateway.keys.revoke_key(gateway.id)
    revoked.set()

    assert (await request_task).status == 401
    assert [key.key.name for key in await gateway.keys.list_keys()] == ["one"]


@pytest.mark.promise("keys.waiting-jobs")
async def test_file_waiting_for_its_session_is_not_written_for_a_revoked_key(start: Start) -> None:
    gateway = await start()
    async with gateway.client.app[STATE].sessions.open_session(gateway.id, "s"):
        upload_task = asyncio.create_task(
            gateway.client.put("/v1/sessions/s/files/x", data=b"x", headers={"x-api-key": gateway.secret})
        )
        while not gateway.session_locks.waiting_count:  # noqa: ASYNC110 - a lock has no event for waiters
            await asyncio.sleep(0)
        await gateway.keys.revoke_key(gateway.id)

    assert (await upload_task).status == 401
