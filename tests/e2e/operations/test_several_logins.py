"""Several logins: the login of each request, the fallback after a limit or a rejection, and the way back."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on

pytestmark = pytest.mark.e2e

REACHED = "five_hour=rejected,1,3600"
ACCOUNT, KEY = "the-token-of-the-account", "the-api-key"
LOGINS = f"""
[[logins]]
name = "account"
method = "cli"
env = {{ CLAUDE_CODE_OAUTH_TOKEN = "{ACCOUNT}", CLAUDE_CONFIG_DIR = "@directory@" }}

[[logins]]
name = "key"
method = "api_key"
env = {{ ANTHROPIC_API_KEY = "{KEY}" }}
"""


@asynccontextmanager
async def run_with_logins(tmp_path: Path, text: str = LOGINS, **settings: Any) -> AsyncIterator[Gateway]:
    path = tmp_path / "logins.toml"
    path.write_text(text.replace("@directory@", str(tmp_path / "config")))
    path.chmod(0o600)
    values: dict[str, Any] = {"logins_file": path, "login_fallback": True, **settings}
    async with run_fake_anthropic() as upstream:
        upstream.accepted_keys |= {ACCOUNT, KEY}
        async with run_gateway_on(upstream, tmp_path / "state", **values) as running:
            yield running


async def create_key(gateway: Gateway, login: str) -> AsyncOpenAI:
    """Create a key that may use only this login, and return a client with the key."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    body = {"name": "bound", "scopes": ["chat"], "login": login}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{gateway.url}/v1/admin/keys", json=body) as response,
    ):
        return gateway.client.with_options(api_key=(await response.json())["key"])


async def ask(gateway: Gateway, text: str = "hello", **parameters: Any) -> tuple[str, str, str]:
    """Return the text of a reply, the login in the header, and the key with which the upstream got the request."""
    parameters |= {"model": parameters.get("model", MODEL), "messages": [{"role": "user", "content": text}]}
    raw = await gateway.client.chat.completions.with_raw_response.create(**parameters)
    headers = {name.lower(): value for name, value in gateway.upstream.chat_requests[-1].headers.items()}
    sent_key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    return raw.parse().choices[0].message.content or "", raw.headers["x-gateway-login"], sent_key


async def read_json(gateway: Gateway, path: str) -> Any:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(gateway.url + path) as response:
        return await response.json()


async def test_first_login_answers_while_it_can(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        assert await ask(gateway) == ("hello", "account", ACCOUNT)


@pytest.mark.promise("logins.fallback")
async def test_next_login_answers_while_the_first_is_limited(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        gateway.upstream.limits_by_key[ACCOUNT] = REACHED
        assert await ask(gateway) == ("hello", "key", KEY)
        assert len(gateway.upstream.chat_requests) == 2
        assert await ask(gateway, "again") == ("again", "key", KEY)
        assert len(gateway.upstream.chat_requests) == 3
        logins = (await read_json(gateway, "/v1/auth/status"))["logins"]
        assert [(login["name"], login["limited"]) for login in logins] == [("account", True), ("key", False)]
        ready = await read_json(gateway, "/health/ready")
        assert (ready["status"], ready["checks"]["login_limited"]) == ("ready", False)


async def test_stream_comes_from_the_next_login_without_a_trace_of_the_first(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        gateway.upstream.limits_by_key[ACCOUNT] = REACHED
        assert await gateway.stream_text("one two three") == "one two three"


@pytest.mark.promise("logins.fallback")
async def test_jobs_return_to_the_first_login_after_its_reset(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        gateway.upstream.limits_by_key[ACCOUNT] = "five_hour=rejected,1,3"
        assert (await ask(gateway))[1] == "key"
        gateway.upstream.limits_by_key.clear()
        deadline = time.monotonic() + 30
        while (await ask(gateway))[1] != "account":
            assert time.monotonic() < deadline


@pytest.mark.promise("logins.fallback-off")
async def test_limit_is_passed_on_without_fallback(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path, login_fallback=False) as gateway:
        gateway.upstream.limits_by_key[ACCOUNT] = REACHED
        for _ in range(2):
            with pytest.raises(openai.RateLimitError):
                await ask(gateway)
        assert len(gateway.upstream.chat_requests) == 1


@pytest.mark.promise("logins.fallback")
async def test_next_login_answers_after_the_first_was_rejected(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        gateway.upstream.accepted_keys.discard(ACCOUNT)
        assert (await ask(gateway))[1] == "key"
        assert (await ask(gateway))[1] == "key"
        logins = (await read_json(gateway, "/v1/auth/status"))["logins"]
        assert [(login["name"], login["valid"]) for login in logins] == [("account", False), ("key", True)]


async def test_error_of_the_limit_remains_if_the_fallback_breaks(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        gateway.upstream.limits_by_key[ACCOUNT] = REACHED
        assert (await ask(gateway))[1] == "key"
        gateway.upstream.accepted_keys.discard(KEY)
        with pytest.raises(openai.APIStatusError):
            await ask(gateway)
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(gateway)
        assert 3_500 < int(caught.value.response.headers["retry-after"]) <= 3_600


async def test_model_that_the_first_login_lacks_is_answered_by_the_next(tmp_path: Path) -> None:
    text = LOGINS.replace('method = "cli"', 'method = "cli"\nmodels = ["claude-opus-*"]')
    async with run_with_logins(tmp_path, text, login_fallback=False) as gateway:
        assert (await ask(gateway))[1] == "key"
        assert (await ask(gateway, model="claude-opus-4-6"))[1] == "account"


async def test_login_gets_the_name_of_the_model_at_its_provider(tmp_path: Path) -> None:
    text = LOGINS.replace('method = "cli"', f'method = "cli"\nmodel_names = {{ "{MODEL}" = "claude-sonnet-4-5" }}')
    async with run_with_logins(tmp_path, text) as gateway:
        await ask(gateway)
        assert gateway.upstream.chat_requests[-1].body["model"] == "claude-sonnet-4-5"


async def test_conversation_continues_with_the_next_login(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        history: list[Any] = ["one", {"role": "assistant", "content": "one"}]
        await gateway.ask("one")
        gateway.upstream.limits_by_key[ACCOUNT] = REACHED
        reply = await gateway.ask(*history, "two")
        assert reply.choices[0].message.content == "two"
        assert len(gateway.upstream.chat_requests[-1].body["messages"]) == 3


async def test_session_with_tools_continues_with_the_next_login(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        extra = {"enable_tools": True, "session_id": "s"}
        await gateway.ask("one", extra_body=extra)
        gateway.upstream.limits_by_key[ACCOUNT] = REACHED
        reply = await gateway.ask("two", extra_body=extra)
        assert reply.choices[0].message.content == "two"
        texts = str(gateway.upstream.chat_requests[-1].body["messages"])
        assert "one" in texts
        headers = {name.lower(): value for name, value in gateway.upstream.chat_requests[-1].headers.items()}
        assert headers["x-api-key"] == KEY


async def test_usage_report_names_the_logins(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        await ask(gateway)
        gateway.upstream.limits_by_key[ACCOUNT] = REACHED
        await ask(gateway)
        report = await read_json(gateway, "/v1/usage?group_by=login")
        assert {row["login"]: row["successful_jobs"] for row in report["data"]} == {"account": 1, "key": 1}


@pytest.mark.promise("logins.key")
async def test_key_with_a_login_uses_no_other(tmp_path: Path) -> None:
    async with run_with_logins(tmp_path) as gateway:
        bound, removed = [replace(gateway, client=await create_key(gateway, name)) for name in ("key", "removed")]
        assert (await ask(bound))[1:] == ("key", KEY)
        assert (await ask(gateway))[1:] == ("account", ACCOUNT)
        gateway.upstream.accepted_keys.discard(KEY)
        for client in (bound, removed):
            with pytest.raises(openai.APIStatusError) as caught:
                await ask(client)
            assert (caught.value.status_code, caught.value.code) == (503, "claude_login_failed")
