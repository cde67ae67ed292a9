"""Settings that are read again while callers are served."""

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.config import Settings
from claude_gateway.config.renewal import LIVE
from claude_gateway.web.parts import PARTS
from tests.claude_gateway.scripted import CHAT, MODEL, settings
from tests.claude_gateway.web.conftest import Client, Serve

LIMITS: dict[str, Any] = {"rate_limit_enabled": True, "rate_limit_chat_per_minute": 100}


def renew(client: Client, **changes: Any) -> None:
    parts = client.app[PARTS]  # type: ignore[union-attr]
    given = {"api_key": SecretStr("old"), **LIMITS} | changes
    parts.current.renew(settings(**given), parts.key_ring, parts.limits)


async def ask(client: Client, key: str, model: str = MODEL) -> int:
    headers = {"authorization": f"Bearer {key}"}
    async with client.post("/v1/chat/completions", json={**CHAT, "model": model}, headers=headers) as answer:
        return answer.status


async def serve_old(serve: Serve) -> Client:
    return await serve(api_key="old", **LIMITS)


@pytest.mark.promise("settings.renewed")
async def test_the_key_the_models_and_the_limits_are_the_new_ones_at_once(serve: Serve) -> None:
    client = await serve_old(serve)
    assert [await ask(client, "old"), await ask(client, "new"), await ask(client, "old", "fast")] == [200, 401, 404]

    renew(client, api_key=SecretStr("new"), model_aliases="fast=haiku", rate_limit_chat_per_minute=2)

    assert [await ask(client, "old"), await ask(client, "new", "fast")] == [401, 200]
    assert [await ask(client, "new"), await ask(client, "new")] == [200, 429]


@pytest.mark.promise("settings.renewed")
async def test_what_cannot_change_live_is_named_and_stays(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    client = await serve_old(serve)
    before = client.app[PARTS].settings.chat_workers  # type: ignore[union-attr]

    with caplog.at_level(logging.WARNING):
        renew(client, chat_workers=before + 1, heartbeat_seconds=7, api_key=SecretStr("a-new-secret"))

    assert client.app[PARTS].settings.chat_workers == before  # type: ignore[union-attr]
    assert client.app[PARTS].settings.heartbeat_seconds == 7  # type: ignore[union-attr]
    assert "changed: API_KEY, HEARTBEAT_SECONDS" in caplog.text
    assert "take a restart to change: CHAT_WORKERS" in caplog.text
    assert "a-new-secret" not in caplog.text


async def test_an_alias_for_no_model_changes_nothing(serve: Serve) -> None:
    client = await serve_old(serve)

    with pytest.raises(ValueError, match="MODEL_ALIASES: the alias fast names no model"):
        renew(client, model_aliases="fast=hiaku", api_key=SecretStr("new"))

    assert [await ask(client, "old"), await ask(client, "new")] == [200, 401]


def test_what_is_said_to_be_live_are_settings() -> None:
    assert set(Settings.model_fields) >= LIVE
