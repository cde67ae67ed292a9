"""Tests for `/v1/usage` and for budgets."""

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

from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import KeyStore
from claude_gateway.auth.schemas import CreateKeyRequest, KeyBudgetRequest
from claude_gateway.storage.database import DATABASE_FILE_NAME, open_database
from claude_gateway.usage.days import DAY_SECONDS
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from tests.claude_gateway.scripted import CHAT_BODY, COST_USD, HELLO_EVENTS, MODEL, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError

CHAT_PATH = "/v1/chat/completions"
MESSAGE = {"model": MODEL, "max_tokens": 9, "messages": CHAT_BODY["messages"]}
CONTENT = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
KEY_REQUESTS = {
    "ann": CreateKeyRequest(name="ann", budget=KeyBudgetRequest(tokens_per_day=5)),
    "bob": CreateKeyRequest(name="bob"),
    "root": CreateKeyRequest(name="root", scopes=["chat", "admin"]),
}


@dataclass(frozen=True)
class KeyHolders:
    """Clients with three keys, by the names of the keys, of one gateway with usage records."""

    client: Client
    secrets: Mapping[str, str]
    ids: Mapping[str, str]

    async def get(self, name: str, path: str) -> ClientResponse:
        return await self.client.get(path, headers={"x-api-key": self.secrets[name]})

    async def post(self, name: str, path: str = CHAT_PATH, body: Any = CHAT_BODY) -> ClientResponse:
        return await self.client.post(path, json=body, headers={"x-api-key": self.secrets[name]})

    async def get_usage(self, name: str, query: str = "") -> dict[str, Any]:
        response = await self.get(name, f"/v1/usage{query}")
        assert response.status == 200, await response.text()
        return dict(await response.json())


Start = Callable[..., Awaitable[KeyHolders]]


@pytest.fixture
async def start(serve: Serve, keys: KeyStore, state_dir: Path) -> AsyncIterator[Start]:
    created_keys = {name: await KeyService(keys).create_key(key_request) for name, key_request in KEY_REQUESTS.items()}
    async with open_database(state_dir / DATABASE_FILE_NAME) as database:

        async def start_gateway(dispatcher: ScriptedWorkerSource | None = None) -> KeyHolders:
            client = await serve(dispatcher, usage_recorder=UsageRecorder(UsageStore(database)), keys=keys)
            secrets = {name: secret for name, (_, secret) in created_keys.items()}
            return KeyHolders(client, secrets, {name: stored.key.id for name, (stored, _) in created_keys.items()})

        yield start_gateway


@pytest.mark.promise("usage.every-job")
async def test_counts_every_job_of_every_dialect_with_tokens_and_cost(start: Start) -> None:
    clients = await start()
    requests = {
        CHAT_PATH: {**CHAT_BODY, "n": 3},
        "/chat/completions": STREAM_BODY,
        "/v1/messages": MESSAGE,
        "/v1/responses": {"model": MODEL, "input": "hi", "store": False},
        f"/v1beta/models/{MODEL}:generateContent": CONTENT,
    }

    for path, body in requests.items():
        response = await clients.post("bob", path, body)
        assert response.status == 200
        await response.read()
    usage = await clients.get_usage("bob", "?group_by=dialect")

    jobs = {row["dialect"]: row["jobs"] for row in usage["data"]}
    assert jobs == {"openai_chat": 4, "anthropic": 1, "openai_responses": 1, "gemini": 1}
    total = usage["total"]
    assert (total["jobs"], total["successful_jobs"], total["input_tokens"], total["output_tokens"]) == (7, 7, 21, 14)
    assert total["cost_usd"] == 7 * COST_USD
    assert usage["budget"]["spent_tokens"] == 7 * 5


@pytest.mark.promise("usage.own")
async def test_key_sees_its_own_usage_and_only_an_admin_sees_all(start: Start) -> None:
    clients = await start()
    for key in ("ann", "bob", "bob"):
        assert (await clients.post(key)).status == 200

    by_key = "?group_by=key"
    assert [(row["key"], row["jobs"]) for row in (await clients.get_usage("bob", by_key))["data"]] == [
        (clients.ids["bob"], 2)
    ]
    assert {row["key"] for row in (await clients.get_usage("root", by_key))["data"]} == {
        clients.ids["ann"],
        clients.ids["bob"],
    }
    assert (await clients.get_usage("root", f"{by_key}&key={clients.ids['ann']}"))["total"]["jobs"] == 1
    other = await clients.get("bob", f"/v1/usage?key={clients.ids['ann']}")
    assert other.status == 403


@pytest.mark.promise("budget.spent")
@pytest.mark.parametrize(
    ("path", "body", "type_"),
    [
        (CHAT_PATH, CHAT_BODY, lambda body: body["error"]["type"] == "rate_limit_exceeded"),
        (CHAT_PATH, STREAM_BODY, lambda body: body["error"]["code"] == "budget_exceeded"),
        ("/v1/messages", MESSAGE, lambda body: body["error"]["type"] == "rate_limit_error"),
        ("/v1/responses", {"model": MODEL, "input": "hi"}, lambda body: body["error"]["code"] == "budget_exceeded"),
        (f"/v1beta/models/{MODEL}:generateContent", CONTENT, lambda body: body["error"]["status"]),
    ],
    ids=["chat", "stream", "messages", "responses", "gemini"],
)
async def test_spent_budget_is_a_429_with_its_reset_time_and_runs_no_job(
    start: Start, path: str, body: Any, type_: Any
) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    clients = await start(dispatcher)
    assert (await clients.post("ann")).status == 200  # five tokens, which is the whole budget

    response = await clients.post("ann", path, body)

    assert response.status == 429
    assert type_(await response.json())
    assert int(response.headers["Retry-After"]) == pytest.approx(DAY_SECONDS - time.time() % DAY_SECONDS, abs=30)
    assert len(dispatcher.jobs) == 1
    assert (await clients.post("bob")).status == 200
    token_count = await clients.post("ann", "/v1/messages/count_tokens", MESSAGE)
    assert token_count.status == 200  # free of cost


async def test_counts_failed_jobs(start: Start) -> None:
    clients = await start(ScriptedWorkerSource.repeating(WorkerError(ErrorKind.RATE_LIMITED, "slow", retry_after=3)))
    assert (await clients.post("bob")).status == 429

    usage = await clients.get_usage("bob", "?group_by=result,model")

    assert [(row["result"], row["model"], row["jobs"], row["successful_jobs"]) for row in usage["data"]] == [
        ("upstream_rate_limited", MODEL, 1, 0)
    ]


async def test_exports_csv_as_a_file(start: Start) -> None:
    clients = await start()
    await clients.post("bob")

    response = await clients.get("bob", "/v1/usage?format=csv&group_by=model")

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["Content-Disposition"]
    header, line = (await response.text()).splitlines()
    assert header.startswith("model,jobs,successful_jobs,input_tokens")
    assert line.startswith("claude-test,1,1,3,2,0,0,0,0.25,")


@pytest.mark.parametrize("query", ["from=x", "group_by=secret", "format=xml"])
async def test_rejects_invalid_query_with_400(start: Start, query: str) -> None:
    clients = await start()

    assert (await clients.get("bob", f"/v1/usage?{query}")).status == 400


async def test_command_reports_the_same_beside_a_running_gateway(start: Start, state_dir: Path) -> None:
    clients = await start()
    await clients.post("bob")

    async def command(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "claude_gateway.cli.main", "usage", *arguments),
            env={"STATE_DIR": str(state_dir), "PATH": os.environ["PATH"]},
            cwd=Path(__file__).parents[4],
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode()

    read_csv = (await clients.get("root", "/v1/usage?format=csv&group_by=key,model")).text
    assert await command("--csv", "--group-by", "key,model") == await read_csv()
    header, line = (await command("--group-by", "key")).splitlines()
    assert header.split()[:3] == ["key", "jobs", "successful"]
    assert line.split() == [clients.ids["bob"], "1", "1", "3", "2", "0", "0", "0.2500"]


@pytest.mark.promise("usage.every-job")
async def test_limits_stay_exact_and_jobs_are_counted_once_under_concurrency(
    serve: Serve, keys: KeyStore, state_dir: Path
) -> None:
    """Twenty keys with a limit of seven requests send ten requests each, all at once."""
    created_keys = [
        await KeyService(keys).create_key(CreateKeyRequest(name=f"key {number}", requests_per_minute={"chat": 7}))
        for number in range(20)
    ]
    async with open_database(state_dir / DATABASE_FILE_NAME) as database:
        recorder = UsageRecorder(UsageStore(database))
        client = await serve(
            ScriptedWorkerSource.repeating(*HELLO_EVENTS),
            usage_recorder=recorder,
            keys=keys,
            rate_limit_enabled=True,
            max_connections=300,
        )

        async def send_chat(number: int, secret: str, body: Any) -> tuple[int, int]:
            response = await client.post(CHAT_PATH, json=body, headers={"x-api-key": secret})
            await response.read()
            return number, response.status

        requests = [
            (n, secret, body)
            for n, (_, secret) in enumerate(created_keys)
            for body in (*[CHAT_BODY] * 5, *[STREAM_BODY] * 5)
        ]
        status_counts = Counter(await asyncio.gather(*(send_chat(*arguments) for arguments in requests)))
        await recorder.flush()
        rows = await database.execute(
            "SELECT key_id, count(*), count(DISTINCT request_id) FROM usage_records GROUP BY key_id"
        )

    assert status_counts == {(number, status): count for number in range(20) for status, count in ((200, 7), (429, 3))}
    assert sorted(rows) == sorted((stored.key.id, 7, 7) for stored, _ in created_keys)
    assert {recorder.get_spend_today(stored.key.id).tokens for stored, _ in created_keys} == {7 * 5}
