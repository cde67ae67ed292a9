"""What waited is looked at again when its turn comes: the key, what it may do, the model, the budget, the limits."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr

from claude_gateway.access.register import Keys
from claude_gateway.access.wanted_key import WantedBudget, WantedKey, WantedLimits
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.own_tools.toolbox import Toolbox
from claude_gateway.responses.register import Responses
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.sessions.session import SessionLimits
from claude_gateway.stores.db import Database
from claude_gateway.stores.keys import KeyStore
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.responses import ResponseStore, Room
from claude_gateway.stores.sessions import SessionStore
from claude_gateway.stores.tool_choices import ToolChoiceStore
from claude_gateway.web.parts import PARTS
from tests.claude_gateway.mcp_servers.scripted import no_servers
from tests.claude_gateway.scripted import (
    CHAT,
    FINISHED,
    HELLO,
    MODEL,
    STARTED,
    STREAM,
    ScriptedDispatcher,
    ScriptedEngine,
)
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import PATIENCE
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockEnded, BlockStarted, TextDelta
from workers.job import Text

CHAT_PATH, RESPONSES_PATH = "/v1/chat/completions", "/v1/responses"
MESSAGE = {"model": MODEL, "max_tokens": 9, "messages": CHAT["messages"]}
CONTENT = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
LIMITS = SessionLimits(ttl=3600, per_key=100, bytes_each=100_000, bytes_per_key=200_000)
DEAD = WorkerError(ErrorKind.WORKER_DIED, "It ended.")
NO_JSON = (STARTED, BlockStarted(Text("")), TextDelta("no JSON"), BlockEnded(), FINISHED)

# Each waits for a worker: one job, in each dialect, whole and streamed; several; with Claude's own tools.
WAYS: dict[str, tuple[str, Any]] = {
    "chat": (CHAT_PATH, CHAT),
    "stream": (CHAT_PATH, STREAM),
    "choices": (CHAT_PATH, {**CHAT, "n": 3}),
    "messages": ("/v1/messages", MESSAGE),
    "responses": (RESPONSES_PATH, {"model": MODEL, "input": "hi", "store": False}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", CONTENT),
    "json": (CHAT_PATH, {**CHAT, "response_format": SCHEMA}),
}


@dataclass
class Gateway:
    """A gateway with one key, whose jobs wait until `queue` is set."""

    client: Client
    dispatcher: ScriptedDispatcher
    keys: Keys
    database: Database
    id: str
    secret: str
    lines: Lines

    async def ask(self, path: str = CHAT_PATH, body: Any = CHAT) -> ClientResponse:
        return await self.client.post(path, json=body, headers={"x-api-key": self.secret})

    async def asked_while(self, change: Awaitable[Any], path: str = CHAT_PATH, body: Any = CHAT) -> ClientResponse:
        """The answer to a request that waited while something changed."""
        asking = asyncio.create_task(self.ask(path, body))
        async with asyncio.timeout(PATIENCE):
            await self.dispatcher.waits.wait()
            await change
            self.go_on()
            return await asking

    def go_on(self) -> None:
        assert self.dispatcher.queue is not None
        self.dispatcher.queue.set()

    async def change(self, **allowed: Any) -> None:
        """What only another hand at the database can: fewer scopes, other models, another budget."""
        store = self.keys.store
        async with self.database.transaction() as run:
            ((found,),) = await run("SELECT allowed FROM keys WHERE id = ?", (self.id,))
            store._changes.add_one()
            await run(
                "UPDATE keys SET allowed = ? WHERE id = ?", (orjson.dumps(orjson.loads(found) | allowed), self.id)
            )

    async def expire(self) -> None:
        async with self.database.transaction() as run:
            self.keys.store._changes.add_one()
            await run("UPDATE keys SET expires_at = ? WHERE id = ?", (time.time() - 1, self.id))

    async def results(self) -> list[str]:
        await self.client.app[PARTS].ledger.flushed()
        return [result for (result,) in await self.database.run("SELECT result FROM ledger ORDER BY id")]


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start(serve: Serve, keys: KeyStore) -> Start:
    database = keys._database

    async def started(*attempts: Any, wanted: WantedKey | None = None, **changes: Any) -> Gateway:
        stored, secret = await Keys(keys).create(wanted or WantedKey(name="one", scopes=["chat", "tools"]))
        dispatcher = ScriptedDispatcher(attempts or [HELLO] * 9, asyncio.Event())
        lines = Lines(10, PATIENCE)
        client = await serve(
            dispatcher,
            keys=keys,
            ledger=Ledger(LedgerStore(database)),
            sessions=Sessions(SessionStore(database), LIMITS, lines),
            toolbox=Toolbox(ScriptedEngine(), ToolChoiceStore(database), ToolCounts(), no_servers()),
            responses=Responses(ResponseStore(database, Room(3600, 100, 10**9)), b"the key of the tests"),
            **{"stream_head_seconds": PATIENCE, **changes},
        )
        return Gateway(client, dispatcher, Keys(keys), database, stored.key.id, secret, lines)

    return started


@pytest.mark.promise("keys.waiting-jobs")
@pytest.mark.parametrize(("path", "body"), WAYS.values(), ids=WAYS)
async def test_a_job_whose_key_was_revoked_while_it_waited_is_a_401_and_not_begun(
    start: Start, path: str, body: Any
) -> None:
    gateway = await start()

    response = await gateway.asked_while(gateway.keys.revoke(gateway.id), path, body)

    assert response.status == 401, await response.text()
    assert gateway.dispatcher.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
async def test_a_key_that_ends_or_is_rotated_while_a_job_waits_does_not_begin_it(start: Start) -> None:
    gateway = await start()

    rotated = await gateway.asked_while(gateway.keys.rotate(gateway.id))
    assert (rotated.status, (await rotated.json())["error"]["code"]) == (401, "invalid_api_key")

    other = await start()
    ended = await other.asked_while(other.expire())
    assert (ended.status, (await ended.json())["error"]["code"]) == (401, "expired_api_key")
    assert gateway.dispatcher.jobs == other.dispatcher.jobs == []


async def test_a_key_of_the_environment_that_changes_while_a_job_waits_does_not_begin_it(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher([HELLO], asyncio.Event())
    client = await serve(dispatcher, api_key=SecretStr("old"))
    asking = asyncio.create_task(client.post(CHAT_PATH, json=CHAT, headers={"x-api-key": "old"}))
    await dispatcher.waits.wait()

    client.app[PARTS].key_ring.renew("new")
    assert dispatcher.queue is not None
    dispatcher.queue.set()

    assert (await asking).status == 401
    assert dispatcher.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
@pytest.mark.parametrize(
    ("allowed", "body", "code"),
    [
        ({"scopes": ["mcp"]}, CHAT, "missing_scope"),
        ({"scopes": ["chat"]}, {**CHAT, "enable_tools": True}, "missing_scope"),
        ({"models": ["claude-haiku-*"]}, CHAT, "model_not_allowed"),
    ],
)
async def test_a_scope_or_model_that_a_key_lost_while_a_job_waited_is_a_403(
    start: Start, allowed: dict[str, Any], body: Any, code: str
) -> None:
    gateway = await start()

    response = await gateway.asked_while(gateway.change(**allowed), body=body)

    assert (response.status, (await response.json())["error"]["code"]) == (403, code)
    assert gateway.dispatcher.jobs == []
    assert await gateway.results() == [code]


async def test_what_waited_and_was_not_begun_is_in_the_ledger_as_what_it_was(start: Start) -> None:
    gateway = await start(wanted=WantedKey(name="one", concurrent=4))

    await gateway.asked_while(gateway.keys.revoke(gateway.id))

    assert await gateway.results() == ["invalid_api_key"]


async def test_fewer_jobs_at_once_hold_for_those_that_wait(start: Start) -> None:
    held = asyncio.Event()
    gateway = await start([STARTED, held, *HELLO[1:]], HELLO, wanted=WantedKey(name="one", concurrent=4))
    first = asyncio.create_task(gateway.ask())
    await gateway.dispatcher.waits.wait()
    gateway.dispatcher.waits.clear()

    second = await gateway.asked_while(gateway.keys.limit(gateway.id, WantedLimits(concurrent=1)))
    held.set()

    assert (second.status, (await second.json())["error"]["code"]) == (429, "too_many_jobs")
    assert (await first).status == 200
    assert sorted(await gateway.results()) == ["ok", "too_many_at_once"]


@pytest.mark.promise("keys.waiting-jobs")
async def test_a_response_in_the_background_is_not_begun_for_a_revoked_key(start: Start) -> None:
    gateway = await start()
    body = {"model": MODEL, "input": "hi", "background": True}
    made = await (await gateway.ask(RESPONSES_PATH, body)).json()
    await gateway.dispatcher.waits.wait()

    await gateway.keys.revoke(gateway.id)
    gateway.go_on()
    await gateway.client.app[PARTS].background.quiet()

    failed = await gateway.client.app[PARTS].responses.shown(gateway.id, made["id"])
    assert failed["status"] == "failed"
    assert gateway.dispatcher.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
async def test_a_request_that_waited_for_its_session_is_not_begun_for_a_revoked_key(start: Start) -> None:
    gateway = await start()
    async with gateway.client.app[PARTS].sessions.open(gateway.id, "s"):
        asking = asyncio.create_task(gateway.ask(body={**CHAT, "session_id": "s"}))
        while not gateway.lines.waiting:  # noqa: ASYNC110 - a line tells nobody
            await asyncio.sleep(0)
        await gateway.keys.revoke(gateway.id)
    gateway.go_on()

    assert (await asking).status == 401
    assert gateway.dispatcher.jobs == []


@pytest.mark.promise("keys.waiting-jobs")
async def test_an_answer_is_not_asked_for_again_for_a_revoked_key(start: Start) -> None:
    held = asyncio.Event()
    gateway = await start([STARTED, held, *NO_JSON[1:]], HELLO)
    gateway.go_on()
    asking = asyncio.create_task(gateway.ask(body={**CHAT, "response_format": {"type": "json_object"}}))
    await gateway.dispatcher.asked.wait()

    await gateway.keys.revoke(gateway.id)
    held.set()

    assert (await asking).status == 401
    assert len(gateway.dispatcher.jobs) == 1


async def test_a_job_whose_worker_died_is_not_begun_again_for_a_revoked_key(start: Start) -> None:
    held = asyncio.Event()
    gateway = await start([held, DEAD], HELLO)
    gateway.go_on()
    asking = asyncio.create_task(gateway.ask())
    await gateway.dispatcher.asked.wait()

    await gateway.keys.revoke(gateway.id)
    held.set()

    assert (await asking).status == 401
    assert len(gateway.dispatcher.jobs) == 1


async def test_an_answer_that_runs_when_its_key_is_revoked_comes_to_its_end(start: Start) -> None:
    held = asyncio.Event()
    gateway = await start([STARTED, held, *HELLO[1:]])
    gateway.go_on()
    asking = asyncio.create_task(gateway.ask())
    await gateway.dispatcher.asked.wait()

    await gateway.keys.revoke(gateway.id)
    held.set()

    assert (await asking).status == 200


@pytest.mark.promise("budget.together")
@pytest.mark.parametrize("body", [CHAT, {**CHAT, "n": 8}], ids=["one-each", "choices"])
async def test_what_waits_together_does_not_pass_a_small_budget_together(start: Start, body: Any) -> None:
    """Each job spends 5 tokens: after the first two the budget of 8 is spent."""
    budget = WantedKey(name="one", budget=WantedBudget(tokens_per_day=8))
    gateway = await start(wanted=budget)
    gateway.go_on()

    async with asyncio.timeout(PATIENCE):
        responses = await asyncio.gather(*(gateway.ask(body=body) for _ in range(10)))

    refused = [await one.json() for one in responses if one.status != 200]
    assert {one["error"]["code"] for one in refused} == {"budget_spent"}
    assert (await gateway.results()).count("ok") == len(gateway.dispatcher.jobs) == 2


@pytest.mark.promise("budget.together")
async def test_a_key_with_plenty_left_runs_its_jobs_side_by_side(start: Start) -> None:
    held = asyncio.Event()
    wanted = WantedKey(name="one", budget=WantedBudget(tokens_per_day=1_000_000, usd_per_day=50))
    gateway = await start(*[[STARTED, held, *HELLO[1:]]] * 20, wanted=wanted)
    gateway.go_on()
    asking = [asyncio.create_task(gateway.ask()) for _ in range(20)]

    async with asyncio.timeout(PATIENCE):
        while gateway.dispatcher.held < 20:  # noqa: ASYNC110 - a dispatcher tells only of the first
            await asyncio.sleep(0)
        held.set()
        assert {(await one).status for one in asking} == {200}


async def test_a_budget_that_is_spent_while_a_job_waits_is_a_429(start: Start) -> None:
    gateway = await start()

    response = await gateway.asked_while(gateway.change(tokens_per_day=0))

    assert (response.status, (await response.json())["error"]["code"]) == (429, "budget_spent")
    assert gateway.dispatcher.jobs == []
    assert await gateway.results() == ["budget_spent"]


@pytest.mark.promise("keys.waiting-jobs")
async def test_a_key_that_is_revoked_while_the_body_comes_changes_nothing_any_more(start: Start) -> None:
    gateway = await start(wanted=WantedKey(name="one", scopes=["admin"]))
    begun = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"name":'
        begun.set()
        await revoked.wait()
        yield b'"another"}'

    revoked = asyncio.Event()
    headers = {"x-api-key": gateway.secret}
    asking = asyncio.create_task(gateway.client.post("/v1/admin/keys", data=body(), headers=headers))
    await begun.wait()
    while not gateway.client.app[PARTS].body_memory.used:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    await gateway.keys.revoke(gateway.id)
    revoked.set()

    assert (await asking).status == 401
    assert [one.key.name for one in await gateway.keys.listed()] == ["one"]


@pytest.mark.promise("keys.waiting-jobs")
async def test_a_file_that_waited_for_its_session_is_not_written_for_a_revoked_key(start: Start) -> None:
    gateway = await start()
    async with gateway.client.app[PARTS].sessions.open(gateway.id, "s"):
        sending = asyncio.create_task(
            gateway.client.put("/v1/sessions/s/files/x", data=b"x", headers={"x-api-key": gateway.secret})
        )
        while not gateway.lines.waiting:  # noqa: ASYNC110 - a line tells nobody
            await asyncio.sleep(0)
        await gateway.keys.revoke(gateway.id)

    assert (await sending).status == 401
