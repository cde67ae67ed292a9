"""Limits of a subscription: the errors of the clients, the requests that the upstream receives, and the reports."""

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from pydantic import SecretStr

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, run_fake_anthropic
from tests.e2e.helpers.dialect_requests import DIALECTS, ask
from tests.e2e.helpers.gateway import API_KEY, Gateway, run_gateway_on
from workers.core.settings import AuthMethod

pytestmark = pytest.mark.e2e

REACHED = "five_hour=rejected,1,3600 seven_day=allowed,0.4,400000"


@pytest.fixture
async def subscription(tmp_path: Path) -> AsyncIterator[Gateway]:
    login: dict[str, Any] = {
        "claude_auth_method": AuthMethod.CLI,
        "anthropic_api_key": None,
        "claude_code_oauth_token": SecretStr(FAKE_API_KEY),
        "claude_config_dir": str(tmp_path / "login"),
        "stream_head_timeout_seconds": 60,  # a stream waits for the status of an error
    }
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path / "state", **login) as running:
        yield running


async def read_json(gateway: Gateway, path: str) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(gateway.url + path) as response:
        return response.status, await response.json()


@pytest.mark.promise("health.login-limit")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_client_gets_the_window_and_the_time_of_the_reset(subscription: Gateway, stream: bool) -> None:
    subscription.upstream.limits_by_key[FAKE_API_KEY] = REACHED
    messages: list[str] = []
    for _ in range(3):
        with pytest.raises(openai.RateLimitError) as caught:
            await subscription.ask("hello", stream=stream)
        assert caught.value.code == "login_limit_reached"
        assert 3_500 < int(caught.value.response.headers["retry-after"]) <= 3_600
        assert caught.value.response.headers["x-should-retry"] == "false"
        messages.append(caught.value.body["message"])  # type: ignore[index]
    assert len(set(messages)) == 1
    assert re.fullmatch(
        r"This gateway's login has reached its 5-hour limit. The limit resets at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC.",
        messages[0],
    )
    assert len(subscription.upstream.chat_requests) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_each_dialect_reports_the_limit(subscription: Gateway, stream: bool) -> None:
    subscription.upstream.limits_by_key[FAKE_API_KEY] = REACHED
    for dialect in DIALECTS:
        reply = await ask(subscription.url, dialect, "hello", stream=stream)
        assert reply.status == 429
        assert (
            "This gateway's login has reached its 5-hour limit." in json.loads(reply.raw_response)["error"]["message"]
        )
    assert len(subscription.upstream.chat_requests) == 1


async def test_limits_are_reported_after_each_reply(subscription: Gateway) -> None:
    before = time.time()
    await subscription.ask("hi {{limits five_hour=allowed,0.42,3600 seven_day=allowed_warning,0.8,400000}}")
    status, report = await read_json(subscription, "/health/ready")
    _, auth = await read_json(subscription, "/v1/auth/status")
    (login,) = auth["logins"]
    assert (status, report["checks"]["login_limited"], report["logins"]) == (200, False, [login])
    assert (login["name"], login["method"], login["valid"], login["limited"]) == ("default", "claude_cli", True, False)
    five_hours, week = login["limits"]
    assert (five_hours["window"], five_hours["status"], five_hours["used_share"]) == ("five_hour", "allowed", 0.42)
    assert before + 3_590 < five_hours["resets_at"] < time.time() + 3_601
    assert (week["window"], week["status"], week["used_share"]) == ("seven_day", "allowed_warning", 0.8)


async def test_gateway_with_a_reached_limit_stays_ready(subscription: Gateway) -> None:
    with pytest.raises(openai.RateLimitError):
        await subscription.ask("hi {{limits five_hour=rejected,1,3600 seven_day=rejected,1,400000}}")
    status, report = await read_json(subscription, "/health/ready")
    assert (status, report["status"], report["checks"]["login_limited"]) == (200, "ready", True)
    assert report["logins"][0]["limited_until"] > time.time() + 399_000
    with pytest.raises(openai.RateLimitError) as caught:
        await subscription.ask("hello")
    assert 399_000 < int(caught.value.response.headers["retry-after"]) <= 400_000


async def test_login_opens_at_the_reset(subscription: Gateway) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await subscription.ask("hi {{limits five_hour=rejected,1,2}}")
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 2
    deadline = time.monotonic() + 30
    while True:
        try:
            reply = await subscription.ask("hello")
        except openai.RateLimitError:
            assert time.monotonic() < deadline
        else:
            break
    assert reply.choices[0].message.content == "hello"


@pytest.mark.parametrize("seconds", ["-3600", "40000000", "soon", "nan"])
async def test_impossible_reset_closes_the_login_until_the_first_probe(subscription: Gateway, seconds: str) -> None:
    for _ in range(2):
        with pytest.raises(openai.RateLimitError) as caught:
            await subscription.ask(f"hi {{{{limits five_hour=rejected,1,{seconds}}}}}")
        assert 50 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert len(subscription.upstream.chat_requests) == 1


async def test_short_rate_limit_does_not_close_the_login(subscription: Gateway) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await subscription.ask("hi {{status 429 retry-after=7}}")
    assert caught.value.code == "upstream_rate_limited"
    assert (await subscription.ask("hello")).choices[0].message.content == "hello"


async def test_agents_are_held_back_too(subscription: Gateway) -> None:
    with pytest.raises(openai.RateLimitError):
        await subscription.ask("hi {{limits five_hour=rejected,1,3600}}")
    with pytest.raises(openai.RateLimitError) as caught:
        await subscription.ask("hello", extra_body={"enable_tools": True})
    assert caught.value.code == "login_limit_reached"
    assert len(subscription.upstream.chat_requests) == 1


async def test_limit_that_an_agent_reaches_holds_back_chats(subscription: Gateway) -> None:
    for _ in range(2):
        with pytest.raises(openai.RateLimitError) as caught:
            await subscription.ask("hi {{limits five_hour=rejected,1,3600}}", extra_body={"enable_tools": True})
        assert caught.value.code == "login_limit_reached"
    with pytest.raises(openai.RateLimitError):
        await subscription.ask("hello")
    assert len(subscription.upstream.chat_requests) == 1
