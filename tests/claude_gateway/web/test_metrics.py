"""`/metrics`: what is counted, for whom, and that no label is a caller's to choose."""

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from claude_gateway.access.register import Keys
from claude_gateway.access.wanted_key import WantedKey
from claude_gateway.stores.keys import KeyStore
from tests.claude_gateway.scripted import CHAT, COST, HELLO, MODEL, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from workers.errors import ErrorKind, WorkerError

CHAT_PATH = "/v1/chat/completions"
KEY = {"authorization": "Bearer the-key-of-the-owner"}
OWNER = SecretStr("the-key-of-the-owner")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def samples(client: Client) -> Samples:
    response = await client.get("/metrics", headers=KEY)
    assert response.status == 200
    return {
        (sample.name.removeprefix("gateway_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(await response.text())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """The sum over all that have these labels, and maybe others."""
    return sum(count for (named, has), count in found.items() if named == name and has >= labels.items())


async def test_a_request_and_its_job_are_counted_with_times_tokens_and_cost(serve: Serve) -> None:
    client = await serve(api_key=OWNER)
    for body in (CHAT, STREAM):
        assert (await client.post(CHAT_PATH, json=body, headers=KEY)).status == 200

    found = await samples(client)

    of_chat = {"dialect": "openai_chat"}
    assert value(found, "requests_total", method="POST", route=CHAT_PATH, status="200", **of_chat) == 2
    assert value(found, "jobs_total", result="ok", **of_chat) == 2
    assert value(found, "overhead_seconds_count", **of_chat) == 2
    assert value(found, "queue_wait_seconds_count", kind="chat") == 2
    assert value(found, "first_token_seconds_count", model="claude-test") == 2
    assert value(found, "tokens_total", model="claude-test", kind="input") == 6
    assert value(found, "cost_usd_total") == 2 * COST
    assert value(found, "resident_memory_bytes") > 2**20


async def test_a_failure_is_counted_by_its_kind_and_one_who_left_as_499(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher([[WorkerError(ErrorKind.OVERLOADED, "busy")], [asyncio.Event()]])
    client = await serve(dispatcher, api_key=OWNER)
    assert (await client.post(CHAT_PATH, json=CHAT, headers=KEY)).status == 503
    dispatcher.asked.clear()
    dispatcher.released.clear()
    asking = asyncio.create_task(client.post(CHAT_PATH, json=CHAT, headers=KEY))
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()
        asking.cancel()
        await dispatcher.released.wait()
        found = await samples(client)
        while not value(found, "requests_total", status="499"):
            found = await samples(client)

    assert value(found, "job_errors_total", kind="overloaded") == 1
    assert value(found, "job_errors_total", kind="left") == 1
    assert value(found, "requests_total", route=CHAT_PATH, status="503") == 1


async def test_it_is_for_the_scope_admin_alone(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=OWNER)
    _, secret = await Keys(keys).create(WantedKey(name="ann", scopes=["chat", "tools", "mcp"]))

    assert (await client.get("/metrics")).status == 401
    assert (await client.get("/metrics", headers={"x-api-key": secret})).status == 403
    assert (await client.get("/metrics", headers=KEY)).status == 200


@pytest.mark.promise("metrics.bounded")
async def test_no_label_is_a_caller_s_to_choose_and_none_holds_a_secret(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(WorkerError(ErrorKind.MODEL_NOT_FOUND, "no such model"))
    client = await serve(dispatcher, api_key=OWNER, rate_limit_enabled=False)

    async def many(numbers: range) -> Samples:
        for number in numbers:
            await client.get(f"/nowhere/{number}", headers=KEY)
            await client.request(("PROPFIND", "MKCOL", "PATCH")[number % 3], "/health")
            odd: dict[str, Any] = {**CHAT, "model": f"claude-{number}-of-a-stranger", "user": "the-secret"}
            await client.post(CHAT_PATH, json=odd, headers=KEY)
        await samples(client)  # which is counted itself
        return await samples(client)

    first = await many(range(40))
    found = await many(range(40, 80))
    text = await (await client.get("/metrics", headers=KEY)).text()

    models = {dict(labels)["model"] for _, labels in found if "model" in dict(labels)}
    assert len(models) <= 31
    assert "other" in models
    assert found.keys() == first.keys()
    for secret in ("the-key", "the-secret", "nowhere", "PROPFIND"):
        assert secret not in text


async def test_the_models_that_are_named_first_keep_their_names(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher.always(*HELLO), api_key=OWNER)
    await client.post(CHAT_PATH, json={**CHAT, "model": MODEL}, headers=KEY)

    assert value(await samples(client), "job_seconds_count", model="claude-test") == 1
