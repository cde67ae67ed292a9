"""`/v1/usage`, and budgets as callers meet them."""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from claude_gateway.access.register import Keys
from claude_gateway.access.wanted_key import WantedBudget, WantedKey
from claude_gateway.ledger.days import DAY
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.stores.db import DATABASE, open_database
from claude_gateway.stores.keys import KeyStore
from claude_gateway.stores.ledger import LedgerStore
from tests.claude_gateway.scripted import CHAT, COST, HELLO, MODEL, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from workers.errors import ErrorKind, WorkerError

CHAT_PATH = "/v1/chat/completions"
MESSAGE = {"model": MODEL, "max_tokens": 9, "messages": CHAT["messages"]}
CONTENT = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
WANTED = {
    "ann": WantedKey(name="ann", budget=WantedBudget(tokens_per_day=5)),
    "bob": WantedKey(name="bob"),
    "root": WantedKey(name="root", scopes=["chat", "admin"]),
}


@dataclass(frozen=True)
class Callers:
    """Three keys by their owners' names, of one gateway with a ledger."""

    client: Client
    secrets: Mapping[str, str]
    ids: Mapping[str, str]

    async def get(self, name: str, path: str) -> ClientResponse:
        return await self.client.get(path, headers={"x-api-key": self.secrets[name]})

    async def post(self, name: str, path: str = CHAT_PATH, body: Any = CHAT) -> ClientResponse:
        return await self.client.post(path, json=body, headers={"x-api-key": self.secrets[name]})

    async def used(self, name: str, query: str = "") -> dict[str, Any]:
        response = await self.get(name, f"/v1/usage{query}")
        assert response.status == 200, await response.text()
        return dict(await response.json())


Start = Callable[..., Awaitable[Callers]]


@pytest.fixture
async def start(serve: Serve, keys: KeyStore, state_dir: Path) -> AsyncIterator[Start]:
    made = {name: await Keys(keys).create(wanted) for name, wanted in WANTED.items()}
    async with open_database(state_dir / DATABASE) as database:

        async def started(dispatcher: ScriptedDispatcher | None = None) -> Callers:
            client = await serve(dispatcher, ledger=Ledger(LedgerStore(database)), keys=keys)
            secrets = {name: secret for name, (_, secret) in made.items()}
            return Callers(client, secrets, {name: stored.key.id for name, (stored, _) in made.items()})

        yield started


@pytest.mark.promise("usage.every-job")
async def test_every_job_of_every_dialect_is_counted_with_its_tokens_and_cost(start: Start) -> None:
    callers = await start()
    asked = {
        CHAT_PATH: {**CHAT, "n": 3},
        "/chat/completions": STREAM,
        "/v1/messages": MESSAGE,
        "/v1/responses": {"model": MODEL, "input": "hi", "store": False},
        f"/v1beta/models/{MODEL}:generateContent": CONTENT,
    }

    for path, body in asked.items():
        response = await callers.post("bob", path, body)
        assert response.status == 200
        await response.read()
    told = await callers.used("bob", "?group_by=dialect")

    jobs = {row["dialect"]: row["jobs"] for row in told["data"]}
    assert jobs == {"openai_chat": 4, "anthropic": 1, "openai_responses": 1, "gemini": 1}
    total = told["total"]
    assert (total["jobs"], total["ok"], total["input_tokens"], total["output_tokens"]) == (7, 7, 21, 14)
    assert total["cost_usd"] == 7 * COST
    assert told["budget"]["spent_tokens"] == 7 * 5


@pytest.mark.promise("usage.own")
async def test_a_key_sees_its_own_and_only_an_admin_all(start: Start) -> None:
    callers = await start()
    for key in ("ann", "bob", "bob"):
        assert (await callers.post(key)).status == 200

    by_key = "?group_by=key"
    assert [(row["key"], row["jobs"]) for row in (await callers.used("bob", by_key))["data"]] == [
        (callers.ids["bob"], 2)
    ]
    assert {row["key"] for row in (await callers.used("root", by_key))["data"]} == {
        callers.ids["ann"],
        callers.ids["bob"],
    }
    assert (await callers.used("root", f"{by_key}&key={callers.ids['ann']}"))["total"]["jobs"] == 1
    other = await callers.get("bob", f"/v1/usage?key={callers.ids['ann']}")
    assert other.status == 403


@pytest.mark.promise("budget.spent")
@pytest.mark.parametrize(
    ("path", "body", "type_"),
    [
        (CHAT_PATH, CHAT, lambda told: told["error"]["type"] == "rate_limit_exceeded"),
        (CHAT_PATH, STREAM, lambda told: told["error"]["code"] == "budget_spent"),
        ("/v1/messages", MESSAGE, lambda told: told["error"]["type"] == "rate_limit_error"),
        ("/v1/responses", {"model": MODEL, "input": "hi"}, lambda told: told["error"]["code"] == "budget_spent"),
        (f"/v1beta/models/{MODEL}:generateContent", CONTENT, lambda told: told["error"]["status"]),
    ],
    ids=["chat", "stream", "messages", "responses", "gemini"],
)
async def test_a_spent_budget_is_a_429_that_says_when_it_resets_and_asks_nobody(
    start: Start, path: str, body: Any, type_: Any
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    callers = await start(dispatcher)
    assert (await callers.post("ann")).status == 200  # five tokens, which is all

    response = await callers.post("ann", path, body)

    assert response.status == 429
    assert type_(await response.json())
    assert int(response.headers["Retry-After"]) == pytest.approx(DAY - time.time() % DAY, abs=30)
    assert len(dispatcher.jobs) == 1
    assert (await callers.post("bob")).status == 200
    counted = await callers.post("ann", "/v1/messages/count_tokens", MESSAGE)
    assert counted.status == 200  # costs nothing


async def test_what_failed_is_counted_too(start: Start) -> None:
    callers = await start(ScriptedDispatcher.always(WorkerError(ErrorKind.RATE_LIMITED, "slow", retry_after=3)))
    assert (await callers.post("bob")).status == 429

    told = await callers.used("bob", "?group_by=result,model")

    assert [(row["result"], row["model"], row["jobs"], row["ok"]) for row in told["data"]] == [
        ("rate_limited", MODEL, 1, 0)
    ]


async def test_as_csv_it_is_a_file(start: Start) -> None:
    callers = await start()
    await callers.post("bob")

    response = await callers.get("bob", "/v1/usage?format=csv&group_by=model")

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["Content-Disposition"]
    head, line = (await response.text()).splitlines()
    assert head.startswith("model,jobs,ok,input_tokens")
    assert line.startswith("claude-test,1,1,3,2,0,0,0,0.25,")


@pytest.mark.parametrize("query", ["from=x", "group_by=secret", "format=xml"])
async def test_what_cannot_be_asked_is_a_400(start: Start, query: str) -> None:
    callers = await start()

    assert (await callers.get("bob", f"/v1/usage?{query}")).status == 400


async def test_the_command_tells_the_same_beside_a_running_gateway(start: Start, state_dir: Path) -> None:
    callers = await start()
    await callers.post("bob")

    async def command(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claude_gateway.cli", "usage", *arguments),
            env={"STATE_DIR": str(state_dir), "PATH": os.environ["PATH"]},
            cwd=Path(__file__).parents[3],
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode()

    of_csv = (await callers.get("root", "/v1/usage?format=csv&group_by=key,model")).text
    assert await command("--csv", "--group-by", "key,model") == await of_csv()
    head, line = (await command("--group-by", "key")).splitlines()
    assert head.split()[:3] == ["key", "jobs", "ok"]
    assert line.split() == [callers.ids["bob"], "1", "1", "3", "2", "0", "0", "0.2500"]


@pytest.mark.promise("usage.every-job")
async def test_of_many_requests_at_once_from_many_keys_each_limit_is_exact_and_each_job_counted_once(
    serve: Serve, keys: KeyStore, state_dir: Path
) -> None:
    """Twenty keys of which each may ask seven times and asks ten times, all at once."""
    made = [await Keys(keys).create(WantedKey(name=f"key {number}", per_minute={"chat": 7})) for number in range(20)]
    async with open_database(state_dir / DATABASE) as database:
        ledger = Ledger(LedgerStore(database))
        client = await serve(
            ScriptedDispatcher.always(*HELLO), ledger=ledger, keys=keys, rate_limit_enabled=True, max_connections=300
        )

        async def ask(number: int, secret: str, body: Any) -> tuple[int, int]:
            response = await client.post(CHAT_PATH, json=body, headers={"x-api-key": secret})
            await response.read()
            return number, response.status

        asked = [(n, secret, body) for n, (_, secret) in enumerate(made) for body in (*[CHAT] * 5, *[STREAM] * 5)]
        answers = Counter(await asyncio.gather(*(ask(*one) for one in asked)))
        await ledger.flushed()
        lines = await database.run("SELECT owner, count(*), count(DISTINCT request_id) FROM ledger GROUP BY owner")

    assert answers == {(number, status): count for number in range(20) for status, count in ((200, 7), (429, 3))}
    assert sorted(lines) == sorted((stored.key.id, 7, 7) for stored, _ in made)
    assert {ledger.spent(stored.key.id).tokens for stored, _ in made} == {7 * 5}
