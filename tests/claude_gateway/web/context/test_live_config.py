"""Reload of settings while the gateway serves clients."""

import logging
from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.config import Settings
from claude_gateway.config.reload import RELOADABLE_SETTINGS
from claude_gateway.web.context.state import STATE
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, ScriptedWorkerSource, make_settings
from tests.claude_gateway.web.conftest import Client, Serve

LIMITS: dict[str, Any] = {"rate_limit_enabled": True, "rate_limit_chat_per_minute": 100}


def reload(client: Client, **changes: Any) -> None:
    state = client.app[STATE]  # type: ignore[union-attr]
    settings = {"api_key": SecretStr("old"), **LIMITS} | changes
    state.live_config.reload(make_settings(**settings), state.authenticator, state.rate_limiter)


async def send_chat(client: Client, key: str, model: str = MODEL) -> int:
    headers = {"authorization": f"Bearer {key}"}
    async with client.post("/v1/chat/completions", json={**CHAT_BODY, "model": model}, headers=headers) as response:
        return response.status


async def serve_old_settings(serve: Serve) -> Client:
    return await serve(api_key="old", **LIMITS)


@pytest.mark.promise("settings.reloaded")
async def test_reload_replaces_key_models_and_limits_immediately(serve: Serve) -> None:
    client = await serve_old_settings(serve)
    assert [await send_chat(client, "old"), await send_chat(client, "new"), await send_chat(client, "old", "fast")] == [
        200,
        401,
        404,
    ]

    reload(client, api_key=SecretStr("new"), model_aliases="fast=haiku", rate_limit_chat_per_minute=2)

    assert [await send_chat(client, "old"), await send_chat(client, "new", "fast")] == [401, 200]
    assert [await send_chat(client, "new"), await send_chat(client, "new")] == [200, 429]


@pytest.mark.promise("settings.reloaded")
async def test_reload_names_settings_that_need_a_restart_and_keeps_them(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve_old_settings(serve)
    chat_workers = client.app[STATE].settings.chat_workers  # type: ignore[union-attr]

    with caplog.at_level(logging.WARNING):
        reload(client, chat_workers=chat_workers + 1, heartbeat_interval_seconds=7, api_key=SecretStr("a-new-secret"))

    assert client.app[STATE].settings.chat_workers == chat_workers  # type: ignore[union-attr]
    assert client.app[STATE].settings.heartbeat_interval_seconds == 7  # type: ignore[union-attr]
    assert "changed: API_KEY, HEARTBEAT_INTERVAL_SECONDS" in caplog.text
    assert "need a restart to change: CHAT_WORKERS" in caplog.text
    assert "a-new-secret" not in caplog.text


async def test_reload_changes_the_group_of_the_key(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, api_key="old", api_key_group="family", **LIMITS)
    assert await send_chat(client, "old") == 200

    reload(client, api_key_group="team")

    assert await send_chat(client, "old") == 200
    assert [job.group for job in worker_source.jobs] == ["family", "team"]


async def test_reload_with_alias_of_unknown_model_changes_nothing(serve: Serve) -> None:
    client = await serve_old_settings(serve)

    with pytest.raises(ValueError, match="MODEL_ALIASES: the target of the alias fast is not a model"):
        reload(client, model_aliases="fast=hiaku", api_key=SecretStr("new"))

    assert [await send_chat(client, "old"), await send_chat(client, "new")] == [200, 401]


def test_reloadable_settings_exist() -> None:
    assert set(Settings.model_fields) >= RELOADABLE_SETTINGS
