"""The same chat with a `cli` login: no `--bare`, the owner's own HOME, a long-lived token instead of a key."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from claude_gateway.demo.upstream import STAND_IN_KEY, stand_in
from tests.e2e.conftest import Gateway, gateway_on
from workers.settings import AuthMethod

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def logged_in(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    login: dict[str, Any] = {
        "claude_auth_method": AuthMethod.CLI,
        "anthropic_api_key": None,
        "claude_code_oauth_token": SecretStr(STAND_IN_KEY),
        "claude_config_dir": str(tmp_path_factory.mktemp("login")),
    }
    async with stand_in() as upstream, gateway_on(upstream, tmp_path_factory.mktemp("state"), **login) as running:
        yield running


async def test_the_token_of_the_login_is_what_the_upstream_gets(logged_in: Gateway) -> None:
    assert await logged_in.stream_text("hello") == "hello"
    headers = {name.lower(): value for name, value in logged_in.upstream.chats[-1].headers.items()}
    assert headers["authorization"] == f"Bearer {STAND_IN_KEY}"


async def test_the_words_by_which_the_upstream_knows_the_login_stand_before_the_client_s_prompt(
    logged_in: Gateway,
) -> None:
    await logged_in.ask({"role": "system", "content": "Be brief."}, "hello")
    billing, itself, prompt = [block["text"] for block in logged_in.upstream.chats[-1].body["system"]]
    assert billing.startswith("x-anthropic-billing-header")
    assert itself.startswith("You are a Claude agent")
    assert prompt == "Be brief."


@pytest.mark.parametrize("text", ["@/etc/passwd", "/cost", "!id", "see @/etc/hostname please"])
async def test_a_caller_s_text_reads_no_file_and_runs_no_command(logged_in: Gateway, text: str) -> None:
    assert await logged_in.stream_text(text) == text
    sent = str(logged_in.upstream.chats[-1].body["messages"])
    assert "root:x:0:0" not in sent
    assert "Result of calling the Read tool" not in sent


async def test_a_history_reads_no_file_either(logged_in: Gateway) -> None:
    await logged_in.ask("@/etc/passwd", {"role": "assistant", "content": "@/etc/passwd"}, "and @/etc/passwd")
    sent = str(logged_in.upstream.chats[-1].body["messages"])
    assert sent.count("@/etc/passwd") == 3
    assert "Result of calling the Read tool" not in sent
