"""What a key and an address may ask for: rates with true numbers in each dialect's words, models, jobs at once."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from aiohttp import ClientResponse
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from claude_gateway.access.limits import Standing
from claude_gateway.stores.keys import KeyStore
from claude_gateway.web.rate_headers import rate_headers
from claude_gateway.web.spoken import Dialect
from tests.claude_gateway.conftest import Clock
from tests.claude_gateway.scripted import CHAT, HELLO, MODEL, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.test_admin_keys import API_KEY, OWNER, bearer, make
from tests.workers.helpers import until

CHAT_PATH = "/v1/chat/completions"
# A refused request of each dialect: path, body.
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": (CHAT_PATH, dict(CHAT)),
    "anthropic": ("/v1/messages", {**CHAT, "max_tokens": 9}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
}
REPORTED = [
    {"value": "haiku", "resolvedModel": "claude-haiku-4-5-20251001"},
    {"value": "claude-opus-4-1-20250805", "resolvedModel": "claude-opus-4-1-20250805"},
    {"value": "sonnet", "resolvedModel": "claude-sonnet-5-5"},
]
ON = {"rate_limit_enabled": True, "api_key": API_KEY}


@pytest.fixture(autouse=True)
def _no_bucket_empties_meanwhile(clock: Clock) -> None:
    """However slow the machine is."""


async def ask(
    client: Client, headers: dict[str, str] = OWNER, path: str = CHAT_PATH, body: Any = CHAT
) -> ClientResponse:
    response = await client.post(path, json=body, headers=headers)
    await response.read()
    return response


@pytest.mark.promise("limits.rate-exact")
async def test_of_200_requests_at_once_from_20_keys_each_limit_lets_in_exactly_its_number(
    serve: Serve, keys: KeyStore
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, keys=keys, **ON, rate_limit_chat_per_minute=4)
    limits = [number % 9 + 1 for number in range(20)]
    made = [
        await make(client, name=f"{number}", per_minute={} if limit == 4 else {"chat": limit})
        for number, limit in enumerate(limits)
    ]

    asked = [one for one in made for _ in range(10)]
    responses = await asyncio.gather(*(ask(client, bearer(one)) for one in asked))

    let_in = Counter(one["id"] for one, response in zip(asked, responses, strict=True) if response.status == 200)
    assert {response.status for response in responses} == {200, 429}
    assert let_in == {one["id"]: limit for one, limit in zip(made, limits, strict=True)}
    assert Counter(job.owner for job in dispatcher.jobs) == let_in
    for one, limit in zip(made, limits, strict=True):
        own = [response for asking, response in zip(asked, responses, strict=True) if asking is one]
        left = sorted(int(response.headers["x-ratelimit-remaining-requests"]) for response in own)
        assert left == [0] * (10 - limit) + list(range(limit))
        assert {response.headers["x-ratelimit-limit-requests"] for response in own} == {str(limit)}


@pytest.mark.promise("limits.headers")
@pytest.mark.parametrize("dialect", PATHS)
async def test_a_refusal_says_in_its_dialect_when_to_come_back(serve: Serve, dialect: str) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, **ON, rate_limit_chat_per_minute=1)
    path, body = PATHS[dialect]

    first, second = await ask(client, path=path, body=body), await ask(client, path=path, body=body)

    assert (first.status, second.status, len(dispatcher.jobs)) == (200, 429, 1)
    seconds = int(second.headers["Retry-After"])
    assert seconds == 60
    told = (await second.json())["error"]
    assert told["message"].startswith(f"Rate limit exceeded. Try again in {seconds} seconds. ")
    assert "1 requests a minute in the group chat" in told["message"]
    assert "RATE_LIMIT_CHAT_PER_MINUTE" in told["message"]
    match dialect:
        case "openai":
            assert (told["type"], told["code"]) == ("rate_limit_exceeded", "too_many_requests")
            assert told["retry_after"] == seconds
        case "anthropic":
            assert told["type"] == "rate_limit_error"
        case "gemini":
            assert (told["code"], told["status"]) == (429, "RESOURCE_EXHAUSTED")
            assert f"{seconds}s" in [one.get("retryDelay") for one in told["details"]]


@pytest.mark.promise("limits.retry-after")
@pytest.mark.parametrize("dialect", [*PATHS, "responses"])
async def test_of_14_at_once_each_refused_one_is_let_in_when_it_was_told_to_come_back(
    serve: Serve, clock: Clock, dialect: str
) -> None:
    client = await serve(**ON)
    path, body = PATHS.get(dialect, ("/v1/responses", {"model": MODEL, "input": "hi", "store": False}))

    responses = await asyncio.gather(*(ask(client, path=path, body=body) for _ in range(14)))

    waits = sorted(int(one.headers["Retry-After"]) for one in responses if one.status == 429)
    assert waits == [6, 12, 18, 24]
    began = clock.now
    for wait in waits:
        clock.now = began + wait - 1
        assert (await ask(client, path="/v1/chat/completions", body={**CHAT, "user": "a newcomer"})).status == 429
        clock.now = began + wait
        assert (await ask(client, path=path, body=body)).status == 200


@dataclass
class Waits:
    """Takes the place of the libraries' sleep: the clock is set on to the next that wakes when all others wait."""

    clock: Clock
    waiting: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        wakes = asyncio.Event()
        self.waiting.append((self.clock.now + seconds, wakes))
        await wakes.wait()

    async def run(self, asking: list[asyncio.Task[Any]]) -> None:
        while not all(task.done() for task in asking):
            await until(lambda: len(self.waiting) + sum(task.done() for task in asking) == len(asking))
            if self.waiting:
                self.waiting.sort(key=lambda one: one[0])
                self.clock.now, wakes = self.waiting.pop(0)
                wakes.set()
                await asyncio.sleep(0)


@pytest.mark.promise("limits.retry-after")
@pytest.mark.parametrize("count", [14, 20])
async def test_the_official_library_gets_all_its_answers_by_its_own_two_retries(
    serve: Serve, clock: Clock, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    waits = Waits(clock)
    monkeypatch.setattr(anyio, "sleep", waits.sleep)
    client = await serve(**ON)
    url, direct = str(client.make_url("/v1")), DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(base_url=url, api_key=API_KEY.get_secret_value(), http_client=direct) as openai:
        asking = [
            asyncio.create_task(
                openai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
            )
            for _ in range(count)
        ]
        await waits.run(asking)

    assert [task.result().choices[0].message.content for task in asking] == ["Hello"] * count


@pytest.mark.promise("limits.headers")
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
async def test_an_answer_says_what_is_left_in_the_words_of_its_path(serve: Serve, body: dict[str, Any]) -> None:
    client = await serve(**ON)
    asked = datetime.now(UTC)

    openai = (await ask(client, body=body)).headers
    anthropic = (await ask(client, path="/v1/messages", body={**body, "max_tokens": 9})).headers

    assert (openai["x-ratelimit-limit-requests"], openai["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert openai["x-ratelimit-reset-requests"] == "6s"
    prefix = "anthropic-ratelimit-requests"
    assert (anthropic[f"{prefix}-limit"], anthropic[f"{prefix}-remaining"]) == ("10", "8")
    reset = datetime.strptime(anthropic[f"{prefix}-reset"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert asked + timedelta(seconds=12) <= reset <= datetime.now(UTC) + timedelta(seconds=13)
    assert not [name for name in openai if name.lower().startswith("anthropic-")]
    assert not [name for name in anthropic if name.lower().startswith("x-ratelimit-")]


@pytest.mark.parametrize(
    ("reset", "duration", "moment"),
    [
        (0.0, "0ms", "2026-01-02T03:04:05Z"),
        (0.12, "120ms", "2026-01-02T03:04:06Z"),
        (6.0, "6s", "2026-01-02T03:04:11Z"),
        (6.5, "6.5s", "2026-01-02T03:04:12Z"),
        (90.0, "1m30s", "2026-01-02T03:05:35Z"),
    ],
)
def test_the_time_until_all_are_to_be_had_again(reset: float, duration: str, moment: str) -> None:
    standing = Standing(10, 3, reset, None)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert rate_headers(Dialect.OPENAI, standing, now)["x-ratelimit-reset-requests"] == duration
    assert rate_headers(Dialect.ANTHROPIC, standing, now)["anthropic-ratelimit-requests-reset"] == moment
    assert rate_headers(Dialect.GEMINI, standing, now) == {}


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", CHAT_PATH, 10),
        ("POST", "/v1/messages", 10),
        ("POST", "/v1/responses", 10),
        ("POST", f"/v1beta/models/{MODEL}:streamGenerateContent", None),  # Google has no such headers
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
async def test_the_usual_limits_are_those_of_the_guide(
    serve: Serve, keys: KeyStore, method: str, path: str, limit: int | None
) -> None:
    client = await serve(keys=keys, **ON)

    headers = (await client.request(method, path, headers=OWNER, json={} if method == "POST" else None)).headers

    told = headers.get("x-ratelimit-limit-requests") or headers.get("anthropic-ratelimit-requests-limit")
    assert told == (str(limit) if limit else None)


async def test_gemini_counts_with_the_other_chats(serve: Serve) -> None:
    client = await serve(**ON, rate_limit_chat_per_minute=1)
    path, body = PATHS["gemini"]

    assert [(await ask(client, path=path, body=body)).status, (await ask(client)).status] == [200, 429]


async def test_an_editor_that_counts_tokens_40_times_a_second_is_not_held_up(serve: Serve) -> None:
    client = await serve(**ON)
    asking = [ask(client, path="/v1/messages/count_tokens", body={**CHAT, "max_tokens": 9}) for _ in range(200)]

    assert {response.status for response in await asyncio.gather(*asking)} == {200}
    assert (await ask(client)).headers["x-ratelimit-remaining-requests"] == "9"


@pytest.mark.promise("limits.address")
async def test_who_has_no_key_may_try_only_so_often_and_holds_up_nobody_who_has_one(serve: Serve) -> None:
    client = await serve(**ON, rate_limit_chat_per_minute=3, rate_limit_per_minute=2)
    wrong = [{"authorization": f"Bearer guess-{number}"} for number in range(5)]

    assert [(await ask(client, headers)).status for headers in wrong] == [401, 401, 401, 429, 429]
    assert [(await client.get("/v1/models", headers=headers)).status for headers in wrong] == [401, 401, 429, 429, 429]
    assert [(await ask(client)).status for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.promise("limits.address")
async def test_an_address_is_the_proxy_s_word_only_where_the_proxy_is_named(serve: Serve) -> None:
    from_two = [{"x-forwarded-for": f"spoofed, 198.51.100.{last}"} for last in (1, 2)]

    behind = await serve(**ON, rate_limit_health_per_minute=1, trusted_proxies="127.0.0.0/8")
    assert [(await behind.get("/health", headers=headers)).status for headers in from_two * 2] == [200, 200, 429, 429]
    direct = await serve(**ON, rate_limit_health_per_minute=1)
    assert [(await direct.get("/health", headers=headers)).status for headers in from_two] == [200, 429]


async def test_a_caller_of_the_machine_itself_has_the_same_limits(serve: Serve) -> None:
    client = await serve(rate_limit_enabled=True)

    assert [(await ask(client, {})).status for _ in range(11)] == [200] * 10 + [429]


async def test_switched_off_nobody_is_counted_or_told(serve: Serve) -> None:
    client = await serve(api_key=API_KEY, rate_limit_chat_per_minute=1)

    responses = [await ask(client) for _ in range(3)]

    assert [response.status for response in responses] == [200] * 3
    assert not [name for name in responses[0].headers if "ratelimit" in name.lower()]


@pytest.mark.promise("limits.at-once")
async def test_a_key_has_only_so_many_jobs_at_once_the_waiting_ones_counted(serve: Serve, keys: KeyStore) -> None:
    go_on = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(go_on, *HELLO)
    client = await serve(dispatcher, keys=keys, api_key=API_KEY)
    made, other = await make(client, concurrent=2), await make(client)
    running = []
    for one in (made, made, other, other, other):
        dispatcher.asked.clear()
        running.append(asyncio.create_task(ask(client, bearer(one))))
        await dispatcher.asked.wait()

    refused = await ask(client, bearer(made))

    assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many_jobs")
    assert int(refused.headers["Retry-After"]) >= 1
    go_on.set()
    assert {(await task).status for task in running} == {200}
    assert (await ask(client, bearer(made))).status == 200


async def test_choices_are_jobs_too_and_one_too_many_frees_the_others(serve: Serve, keys: KeyStore) -> None:
    go_on = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(go_on, *HELLO)
    client = await serve(dispatcher, keys=keys, api_key=API_KEY)
    made = await make(client, concurrent=2)

    assert (await ask(client, bearer(made), body={**CHAT, "n": 3})).status == 429
    await dispatcher.released.wait()
    go_on.set()
    assert (await ask(client, bearer(made), body={**CHAT, "n": 2})).status == 200


@pytest.mark.promise("keys.models")
@pytest.mark.parametrize("dialect", [*PATHS, "responses"])
async def test_a_key_gets_its_own_models_alone_whatever_it_calls_them(
    serve: Serve, keys: KeyStore, dialect: str
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, keys=keys, api_key=API_KEY, model_aliases="fast=haiku", reported=REPORTED)
    mine = bearer(await make(client, models=["haiku", "claude-opus-4-1*"]))

    async def status(model: str) -> int:
        path, body = PATHS.get(dialect, ("/v1/responses", {"input": "hi", "store": False}))
        body = {**body, "model": model} if dialect != "gemini" else body
        return (await ask(client, mine, path.replace(MODEL, model), body)).status

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
    assert {job.model for job in dispatcher.jobs} == {"claude-haiku-4-5-20251001", "claude-opus-4-1-20250805"}


async def test_the_list_of_models_is_the_key_s_own(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys, api_key=API_KEY, reported=REPORTED)
    mine = bearer(await make(client, models=["haiku", "claude-opus-4-1*"]))

    listed = (await (await client.get("/v1/models", headers=mine)).json())["data"]

    assert [one["id"] for one in listed] == ["claude-haiku-4-5-20251001", "claude-opus-4-1-20250805"]
    assert (await client.get("/v1/models/claude-haiku-4-5", headers=mine)).status == 200
    assert (await client.get(f"/v1/models/{MODEL}", headers=mine)).status == 404
    assert len((await (await client.get("/v1/models", headers=OWNER)).json())["data"]) > 2
