"""Limits of keys and addresses: request rates with their headers in each dialect, models, and concurrent jobs."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from aiohttp import ClientResponse
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from claude_gateway.auth.key_store import KeyStore
from claude_gateway.auth.rate_limit import RateLimitState
from claude_gateway.web.dialects.rate_limit_headers import (
    anthropic_rate_limit_headers,
    gemini_rate_limit_headers,
    openai_rate_limit_headers,
)
from tests.claude_gateway.manual_clock import ManualClock
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.endpoints.test_admin_keys import ADMIN_HEADERS, API_KEY, bearer, create_key
from tests.workers.helpers import wait_until

CHAT_PATH = "/v1/chat/completions"
# A request of each dialect: path and body.
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": (CHAT_PATH, dict(CHAT_BODY)),
    "anthropic": ("/v1/messages", {**CHAT_BODY, "max_tokens": 9}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
}
CLI_MODELS = [
    {"value": "haiku", "resolvedModel": "claude-haiku-4-5-20251001"},
    {"value": "claude-opus-4-1-20250805", "resolvedModel": "claude-opus-4-1-20250805"},
    {"value": "sonnet", "resolvedModel": "claude-sonnet-5-5"},
]
LIMITS_ON = {"rate_limit_enabled": True, "api_key": API_KEY}


@pytest.fixture(autouse=True)
def _no_bucket_empties_meanwhile(clock: ManualClock) -> None:
    """Stop the clock, so that the buckets do not change on a slow machine."""


async def send_request(
    client: Client, headers: dict[str, str] = ADMIN_HEADERS, path: str = CHAT_PATH, body: Any = CHAT_BODY
) -> ClientResponse:
    response = await client.post(path, json=body, headers=headers)
    await response.read()
    return response


@pytest.mark.promise("limits.rate-exact")
async def test_each_limit_admits_exactly_its_number_of_200_concurrent_requests(serve: Serve, keys: KeyStore) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, keys=keys, **LIMITS_ON, rate_limit_chat_per_minute=4)
    limits = [number % 9 + 1 for number in range(20)]
    created_keys = [
        await create_key(client, name=f"{number}", requests_per_minute={} if limit == 4 else {"chat": limit})
        for number, limit in enumerate(limits)
    ]

    requested_keys = [key for key in created_keys for _ in range(10)]
    responses = await asyncio.gather(*(send_request(client, bearer(key)) for key in requested_keys))

    accepted = Counter(
        key["id"] for key, response in zip(requested_keys, responses, strict=True) if response.status == 200
    )
    assert {response.status for response in responses} == {200, 429}
    assert accepted == {key["id"]: limit for key, limit in zip(created_keys, limits, strict=True)}
    assert Counter(job.key_id for job in worker_source.jobs) == accepted
    for key, limit in zip(created_keys, limits, strict=True):
        own_responses = [
            response for requested, response in zip(requested_keys, responses, strict=True) if requested is key
        ]
        remaining = sorted(int(response.headers["x-ratelimit-remaining-requests"]) for response in own_responses)
        assert remaining == [0] * (10 - limit) + list(range(limit))
        assert {response.headers["x-ratelimit-limit-requests"] for response in own_responses} == {str(limit)}


@pytest.mark.promise("limits.headers")
@pytest.mark.parametrize("dialect", PATHS)
async def test_rejection_has_the_time_to_retry_in_its_dialect(serve: Serve, dialect: str) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, **LIMITS_ON, rate_limit_chat_per_minute=1)
    path, body = PATHS[dialect]

    first, second = await send_request(client, path=path, body=body), await send_request(client, path=path, body=body)

    assert (first.status, second.status, len(worker_source.jobs)) == (200, 429, 1)
    seconds = int(second.headers["Retry-After"])
    assert seconds == 60
    error = (await second.json())["error"]
    assert error["message"].startswith(f"Rate limit exceeded. Try again in {seconds} seconds. ")
    assert "1 requests a minute in the group chat" in error["message"]
    assert "RATE_LIMIT_CHAT_PER_MINUTE" in error["message"]
    match dialect:
        case "openai":
            assert (error["type"], error["code"]) == ("rate_limit_exceeded", "too_many_requests")
            assert error["retry_after"] == seconds
        case "anthropic":
            assert error["type"] == "rate_limit_error"
        case "gemini":
            assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
            assert f"{seconds}s" in [detail.get("retryDelay") for detail in error["details"]]


@pytest.mark.promise("limits.retry-after")
@pytest.mark.parametrize("dialect", [*PATHS, "responses"])
async def test_each_rejected_request_is_accepted_after_its_retry_after(
    serve: Serve, clock: ManualClock, dialect: str
) -> None:
    client = await serve(**LIMITS_ON)
    path, body = PATHS.get(dialect, ("/v1/responses", {"model": MODEL, "input": "hi", "store": False}))

    responses = await asyncio.gather(*(send_request(client, path=path, body=body) for _ in range(14)))

    wait_seconds = sorted(int(response.headers["Retry-After"]) for response in responses if response.status == 429)
    assert wait_seconds == [6, 12, 18, 24]
    started_at = clock.now
    for seconds in wait_seconds:
        clock.now = started_at + seconds - 1
        assert (
            await send_request(client, path="/v1/chat/completions", body={**CHAT_BODY, "user": "another client"})
        ).status == 429
        clock.now = started_at + seconds
        assert (await send_request(client, path=path, body=body)).status == 200


@dataclass
class ScriptedSleep:
    """Replacement for the sleep of client libraries. It advances the clock to the next wake-up once all tasks wait."""

    clock: ManualClock
    waiting: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        wake_event = asyncio.Event()
        self.waiting.append((self.clock.now + seconds, wake_event))
        await wake_event.wait()

    async def run(self, request_tasks: list[asyncio.Task[Any]]) -> None:
        while not all(task.done() for task in request_tasks):
            await wait_until(
                lambda: len(self.waiting) + sum(task.done() for task in request_tasks) == len(request_tasks)
            )
            if self.waiting:
                self.waiting.sort(key=lambda waiter: waiter[0])
                self.clock.now, wake_event = self.waiting.pop(0)
                wake_event.set()
                await asyncio.sleep(0)


@pytest.mark.promise("limits.retry-after")
@pytest.mark.parametrize("count", [14, 20])
async def test_official_client_completes_all_requests_with_its_own_retries(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    scripted_sleep = ScriptedSleep(clock)
    monkeypatch.setattr(anyio, "sleep", scripted_sleep.sleep)
    client = await serve(**LIMITS_ON)
    url, direct_client = str(client.make_url("/v1")), DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(base_url=url, api_key=API_KEY.get_secret_value(), http_client=direct_client) as openai:
        request_tasks = [
            asyncio.create_task(
                openai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
            )
            for _ in range(count)
        ]
        await scripted_sleep.run(request_tasks)

    assert [task.result().choices[0].message.content for task in request_tasks] == ["Hello"] * count


@pytest.mark.promise("limits.headers")
@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["whole", "stream"])
async def test_response_has_rate_limit_headers_of_its_dialect(serve: Serve, body: dict[str, Any]) -> None:
    client = await serve(**LIMITS_ON)
    started_at = datetime.now(UTC)

    openai = (await send_request(client, body=body)).headers
    anthropic = (await send_request(client, path="/v1/messages", body={**body, "max_tokens": 9})).headers

    assert (openai["x-ratelimit-limit-requests"], openai["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert openai["x-ratelimit-reset-requests"] == "6s"
    prefix = "anthropic-ratelimit-requests"
    assert (anthropic[f"{prefix}-limit"], anthropic[f"{prefix}-remaining"]) == ("10", "8")
    reset = datetime.strptime(anthropic[f"{prefix}-reset"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert started_at + timedelta(seconds=12) <= reset <= datetime.now(UTC) + timedelta(seconds=13)
    assert not [name for name in openai if name.lower().startswith("anthropic-")]
    assert not [name for name in anthropic if name.lower().startswith("x-ratelimit-")]


@pytest.mark.parametrize(
    ("reset", "duration", "timestamp"),
    [
        (0.0, "0ms", "2026-01-02T03:04:05Z"),
        (0.12, "120ms", "2026-01-02T03:04:06Z"),
        (6.0, "6s", "2026-01-02T03:04:11Z"),
        (6.5, "6.5s", "2026-01-02T03:04:12Z"),
        (90.0, "1m30s", "2026-01-02T03:05:35Z"),
    ],
)
def test_reset_header_is_the_time_until_all_requests_are_available_again(
    reset: float, duration: str, timestamp: str
) -> None:
    state = RateLimitState(10, 3, reset, None)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert openai_rate_limit_headers(state, now)["x-ratelimit-reset-requests"] == duration
    assert anthropic_rate_limit_headers(state, now)["anthropic-ratelimit-requests-reset"] == timestamp
    assert gemini_rate_limit_headers(state, now) == {}


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", CHAT_PATH, 10),
        ("POST", "/v1/messages", 10),
        ("POST", "/v1/responses", 10),
        ("POST", f"/v1beta/models/{MODEL}:streamGenerateContent", None),  # Google defines no such headers
        ("POST", "/v1/messages/count_tokens", 6_000),
        ("GET", "/health", 30),
        ("GET", "/health/ready", 30),
        ("GET", "/version", 30),
        ("GET", "/v1/auth/status", 10),
        ("GET", "/v1/sessions", 15),
        ("GET", "/v1/tools", 30),
        ("GET", "/v1/admin/keys", 30),
        ("GET", "/nowhere", 30),
        ("GET", "/v1/models", None),
        ("GET", "/", None),
    ],
)
async def test_default_limits_match_the_documented_ones(
    serve: Serve, keys: KeyStore, method: str, path: str, limit: int | None
) -> None:
    client = await serve(keys=keys, **LIMITS_ON)

    headers = (await client.request(method, path, headers=ADMIN_HEADERS, json={} if method == "POST" else None)).headers

    reported = headers.get("x-ratelimit-limit-requests") or headers.get("anthropic-ratelimit-requests-limit")
    assert reported == (str(limit) if limit else None)


async def test_gemini_shares_the_limit_of_the_other_chats(serve: Serve) -> None:
    client = await serve(**LIMITS_ON, rate_limit_chat_per_minute=1)
    path, body = PATHS["gemini"]

    assert [(await send_request(client, path=path, body=body)).status, (await send_request(client)).status] == [
        200,
        429,
    ]


async def test_editor_that_counts_tokens_40_times_a_second_is_not_limited(serve: Serve) -> None:
    client = await serve(**LIMITS_ON)
    requests = [
        send_request(client, path="/v1/messages/count_tokens", body={**CHAT_BODY, "max_tokens": 9}) for _ in range(200)
    ]

    assert {response.status for response in await asyncio.gather(*requests)} == {200}
    assert (await send_request(client)).headers["x-ratelimit-remaining-requests"] == "9"


@pytest.mark.promise("limits.address")
async def test_clients_without_a_key_are_limited_and_do_not_block_clients_with_one(serve: Serve) -> None:
    client = await serve(**LIMITS_ON, rate_limit_chat_per_minute=3, rate_limit_per_minute=2)
    wrong_keys = [{"authorization": f"Bearer guess-{number}"} for number in range(5)]

    assert [(await send_request(client, headers)).status for headers in wrong_keys] == [401, 401, 401, 429, 429]
    assert [(await client.get("/v1/models", headers=headers)).status for headers in wrong_keys] == [
        401,
        401,
        429,
        429,
        429,
    ]
    assert [(await send_request(client)).status for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.promise("limits.address")
async def test_uses_forwarded_address_only_of_a_trusted_proxy(serve: Serve) -> None:
    headers_of_two_clients = [{"x-forwarded-for": f"spoofed, 198.51.100.{last}"} for last in (1, 2)]

    proxied_client = await serve(**LIMITS_ON, rate_limit_health_per_minute=1, trusted_proxies="127.0.0.0/8")
    assert [
        (await proxied_client.get("/health", headers=headers)).status for headers in headers_of_two_clients * 2
    ] == [200, 200, 429, 429]
    direct_client = await serve(**LIMITS_ON, rate_limit_health_per_minute=1)
    assert [(await direct_client.get("/health", headers=headers)).status for headers in headers_of_two_clients] == [
        200,
        429,
    ]


async def test_local_clients_have_the_same_limits(serve: Serve) -> None:
    client = await serve(rate_limit_enabled=True)

    assert [(await send_request(client, {})).status for _ in range(11)] == [200] * 10 + [429]


async def test_disabled_limits_reject_no_request_and_add_no_headers(serve: Serve) -> None:
    client = await serve(api_key=API_KEY, rate_limit_chat_per_minute=1)

    responses = [await send_request(client) for _ in range(3)]

    assert [response.status for response in responses] == [200] * 3
    assert not [name for name in responses[0].headers if "ratelimit" in name.lower()]


@pytest.mark.promise("limits.concurrent-jobs")
async def test_limits_concurrent_jobs_of_a_key_and_counts_waiting_jobs(serve: Serve, keys: KeyStore) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    client = await serve(worker_source, keys=keys, api_key=API_KEY)
    limited_key, other = await create_key(client, max_concurrent_jobs=2), await create_key(client)
    running = []
    for key in (limited_key, limited_key, other, other, other):
        worker_source.job_started.clear()
        running.append(asyncio.create_task(send_request(client, bearer(key))))
        await worker_source.job_started.wait()

    refused = await send_request(client, bearer(limited_key))

    assert (refused.status, (await refused.json())["error"]["code"]) == (429, "concurrency_limit_exceeded")
    assert int(refused.headers["Retry-After"]) >= 1
    resume.set()
    assert {(await task).status for task in running} == {200}
    assert (await send_request(client, bearer(limited_key))).status == 200


async def test_choices_count_as_jobs_and_one_too_many_rejects_all_of_them(serve: Serve, keys: KeyStore) -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    client = await serve(worker_source, keys=keys, api_key=API_KEY)
    limited_key = await create_key(client, max_concurrent_jobs=2)

    assert (await send_request(client, bearer(limited_key), body={**CHAT_BODY, "n": 3})).status == 429
    await worker_source.worker_released.wait()
    resume.set()
    assert (await send_request(client, bearer(limited_key), body={**CHAT_BODY, "n": 2})).status == 200


@pytest.mark.promise("keys.models")
@pytest.mark.parametrize("dialect", [*PATHS, "responses"])
async def test_key_can_use_only_its_models_under_any_alias(serve: Serve, keys: KeyStore, dialect: str) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, keys=keys, api_key=API_KEY, model_aliases="fast=haiku", cli_models=CLI_MODELS)
    headers = bearer(await create_key(client, models=["haiku", "claude-opus-4-1*"]))

    async def status(model: str) -> int:
        path, body = PATHS.get(dialect, ("/v1/responses", {"input": "hi", "store": False}))
        body = {**body, "model": model} if dialect != "gemini" else body
        return (await send_request(client, headers, path.replace(MODEL, model), body)).status

    for model in (
        "claude-haiku-4-5-20251001",
        "haiku",
        "fast",
        "gpt-4o-mini",
        "claude-opus-4-1-20250805",
        "claude-haiku",
    ):
        assert await status(model) == 200, model
    for model in (MODEL, "default", "gpt-4o", "gpt-haiku", "opus", "claude-opus-4", "chatgpt-mini-x", "anthropic/opus"):
        assert await status(model) == 403, model
    assert {job.model for job in worker_source.jobs} == {"claude-haiku-4-5-20251001", "claude-opus-4-1-20250805"}


async def test_model_list_contains_only_the_models_of_the_key(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY, cli_models=CLI_MODELS)
    headers = bearer(await create_key(client, models=["haiku", "claude-opus-4-1*"]))

    listed = (await (await client.get("/v1/models", headers=headers)).json())["data"]

    assert [model["id"] for model in listed] == ["claude-haiku-4-5-20251001", "claude-opus-4-1-20250805"]
    assert (await client.get("/v1/models/claude-haiku-4-5", headers=headers)).status == 200
    assert (await client.get(f"/v1/models/{MODEL}", headers=headers)).status == 404
    assert len((await (await client.get("/v1/models", headers=ADMIN_HEADERS)).json())["data"]) > 2
