"""Tests for `/metrics`: its counts, its required scope and its bounded labels."""

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import KeyStore
from claude_gateway.auth.schemas import CreateKeyRequest
from tests.claude_gateway.scripted import CHAT_BODY, COST_USD, HELLO_EVENTS, MODEL, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError

CHAT_PATH = "/v1/chat/completions"
HEADERS = {"authorization": "Bearer the-key-of-the-operator"}
API_KEY = SecretStr("the-key-of-the-operator")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def fetch_samples(client: Client) -> Samples:
    """Return the value of each sample by name and labels."""
    response = await client.get("/metrics", headers=HEADERS)
    assert response.status == 200
    return {
        (sample.name.removeprefix("gateway_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(await response.text())
        for sample in family.samples
    }


def sum_values(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum over all samples with this name and at least these labels."""
    return sum(
        value
        for (sample_name, sample_labels), value in samples.items()
        if sample_name == name and sample_labels >= labels.items()
    )


async def test_counts_request_and_job_with_times_tokens_and_cost(serve: Serve) -> None:
    client = await serve(api_key=API_KEY)
    for body in (CHAT_BODY, STREAM_BODY):
        assert (await client.post(CHAT_PATH, json=body, headers=HEADERS)).status == 200

    samples = await fetch_samples(client)

    chat_labels = {"dialect": "openai_chat"}
    assert sum_values(samples, "requests_total", method="POST", route=CHAT_PATH, status="200", **chat_labels) == 2
    assert sum_values(samples, "jobs_total", result="ok", **chat_labels) == 2
    assert sum_values(samples, "request_overhead_seconds_count", **chat_labels) == 2
    assert sum_values(samples, "queue_wait_seconds_count", pool="chat") == 2
    assert sum_values(samples, "time_to_first_token_seconds_count", model="claude-test") == 2
    assert sum_values(samples, "tokens_total", model="claude-test", type="input") == 6
    assert sum_values(samples, "cost_usd_total") == 2 * COST_USD
    assert sum_values(samples, "resident_memory_bytes") > 2**20
    assert sum_values(samples, "max_workers", pool="chat") == 12


async def test_counts_failure_by_kind_and_disconnected_client_as_499(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource([[WorkerError(ErrorKind.OVERLOADED, "busy")], [asyncio.Event()]])
    client = await serve(dispatcher, api_key=API_KEY)
    assert (await client.post(CHAT_PATH, json=CHAT_BODY, headers=HEADERS)).status == 503
    dispatcher.job_started.clear()
    dispatcher.worker_released.clear()
    pending = asyncio.create_task(client.post(CHAT_PATH, json=CHAT_BODY, headers=HEADERS))
    async with asyncio.timeout(10):
        await dispatcher.job_started.wait()
        pending.cancel()
        await dispatcher.worker_released.wait()
        samples = await fetch_samples(client)
        while not sum_values(samples, "requests_total", status="499"):
            samples = await fetch_samples(client)

    assert sum_values(samples, "job_errors_total", result="upstream_overloaded") == 1
    assert sum_values(samples, "job_errors_total", result="client_disconnected") == 1
    assert sum_values(samples, "requests_total", route=CHAT_PATH, status="503") == 1


async def test_requires_the_scope_admin(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY)
    _, secret = await KeyService(keys).create_key(CreateKeyRequest(name="ann", scopes=["chat", "tools", "mcp"]))

    assert (await client.get("/metrics")).status == 401
    assert (await client.get("/metrics", headers={"x-api-key": secret})).status == 403
    assert (await client.get("/metrics", headers=HEADERS)).status == 200


@pytest.mark.promise("metrics.bounded")
async def test_clients_cannot_choose_labels_and_no_label_has_a_secret(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(WorkerError(ErrorKind.MODEL_NOT_FOUND, "no such model"))
    client = await serve(dispatcher, api_key=API_KEY, rate_limit_enabled=False)

    async def send_requests(numbers: range) -> Samples:
        for number in numbers:
            await client.get(f"/nowhere/{number}", headers=HEADERS)
            await client.request(("PROPFIND", "MKCOL", "PATCH")[number % 3], "/health")
            body: dict[str, Any] = {**CHAT_BODY, "model": f"claude-{number}-unknown", "user": "the-secret"}
            await client.post(CHAT_PATH, json=body, headers=HEADERS)
        await fetch_samples(client)  # this request is counted itself
        return await fetch_samples(client)

    first = await send_requests(range(40))
    samples = await send_requests(range(40, 80))
    text = await (await client.get("/metrics", headers=HEADERS)).text()

    models = {dict(labels)["model"] for _, labels in samples if "model" in dict(labels)}
    assert len(models) <= 31
    assert "other" in models
    assert samples.keys() == first.keys()
    for secret in ("the-key", "the-secret", "nowhere", "PROPFIND"):
        assert secret not in text


async def test_first_model_names_keep_their_labels(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*HELLO_EVENTS), api_key=API_KEY)
    await client.post(CHAT_PATH, json={**CHAT_BODY, "model": MODEL}, headers=HEADERS)

    assert sum_values(await fetch_samples(client), "job_duration_seconds_count", model="claude-test") == 1
