"""Chats with a `cli` login: without `--bare`, with the HOME of the user, and with a long-lived token, not a key."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, run_fake_anthropic
from tests.e2e.helpers.gateway import Gateway, run_gateway_on
from workers.core.settings import AuthMethod

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def logged_in_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    login: dict[str, Any] = {
        "claude_auth_method": AuthMethod.CLI,
        "anthropic_api_key": None,
        "claude_code_oauth_token": SecretStr(FAKE_API_KEY),
        "claude_config_dir": str(tmp_path_factory.mktemp("login")),
    }
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, tmp_path_factory.mktemp("state"), **login) as running,
    ):
        yield running


async def test_upstream_receives_the_token_of_the_login(logged_in_gateway: Gateway) -> None:
    assert await logged_in_gateway.stream_text("hello") == "hello"
    headers = {name.lower(): value for name, value in logged_in_gateway.upstream.chat_requests[-1].headers.items()}
    assert headers["authorization"] == f"Bearer {FAKE_API_KEY}"


async def test_prompt_that_identifies_the_login_precedes_the_client_prompt(
    logged_in_gateway: Gateway,
) -> None:
    await logged_in_gateway.ask({"role": "system", "content": "Be brief."}, "hello")
    billing, itself, prompt = [block["text"] for block in logged_in_gateway.upstream.chat_requests[-1].body["system"]]
    assert billing.startswith("x-anthropic-billing-header")
    assert itself.startswith("You are a Claude agent")
    assert prompt == "Be brief."


@pytest.mark.parametrize("text", ["@/etc/passwd", "/cost", "!id", "see @/etc/hostname please"])
async def test_client_text_reads_no_file_and_runs_no_command(logged_in_gateway: Gateway, text: str) -> None:
    assert await logged_in_gateway.stream_text(text) == text
    sent = str(logged_in_gateway.upstream.chat_requests[-1].body["messages"])
    assert "root:x:0:0" not in sent
    assert "Result of calling the Read tool" not in sent


async def test_history_reads_no_file(logged_in_gateway: Gateway) -> None:
    await logged_in_gateway.ask("@/etc/passwd", {"role": "assistant", "content": "@/etc/passwd"}, "and @/etc/passwd")
    sent = str(logged_in_gateway.upstream.chat_requests[-1].body["messages"])
    assert sent.count("@/etc/passwd") == 3
    assert "Result of calling the Read tool" not in sent
