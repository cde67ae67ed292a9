"""Tests for the health checks, the versions and the login status."""

import time
from typing import Any

import pytest
from pydantic import SecretStr

from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, ScriptedPool, ScriptedStore, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.login_limits import LimitReport, LimitStatus, LimitWindow

DEFAULT_LOGIN_OBJECT = {
    "name": "default",
    "method": "anthropic_api_key",
    "valid": True,
    "failure": None,
    "limited": False,
    "limited_until": None,
    "limited_models": [],
    "limits": [],
}


async def get(serve: Serve, path: str, pool: ScriptedPool | None = None, **changes: Any) -> tuple[int, Any]:
    client = await serve(None, pool, **changes)
    response = await client.get(path)
    return response.status, await response.json()


async def test_health_is_healthy(serve: Serve) -> None:
    status, body = await get(serve, "/health")

    assert status == 200
    assert (body["status"], body["service"]) == ("healthy", "claude-gateway")


async def test_liveness_does_not_depend_on_the_pool(serve: Serve) -> None:
    pool = ScriptedPool(account={}, counts={}, failing=True)

    assert await get(serve, "/health/live", pool) == (200, {"status": "alive"})


@pytest.mark.promise("health.ready")
async def test_ready_with_login_and_worker(serve: Serve) -> None:
    status, body = await get(serve, "/health/ready", ScriptedPool(counts={"busy": 1, "starting": 1}))

    assert status == 200
    assert body == {
        "status": "ready",
        "checks": {
            "login": True,
            "login_limited": False,
            "pool": {"serving": True, "workers": {"busy": 1, "starting": 1}, "queue": {"running": 0, "waiting": 0}},
            "database": True,
            "usage_records": {"pending": 0, "lost": 0},
        },
        "logins": [DEFAULT_LOGIN_OBJECT],
    }


@pytest.mark.promise("health.ready")
@pytest.mark.parametrize(
    "pool",
    [
        ScriptedPool(account={"tokenSource": "none"}),
        ScriptedPool(account={}),
        ScriptedPool(account={}, counts={"starting": 2}),
        ScriptedPool(account={}, counts={}),
        ScriptedPool(failing=True),
    ],
    ids=["no-login", "no-account", "starting", "empty", "failing"],
)
async def test_not_ready_without_login_or_worker(serve: Serve, pool: ScriptedPool) -> None:
    status, body = await get(serve, "/health/ready", pool)

    assert (status, body["status"]) == (503, "not_ready")


@pytest.mark.promise("health.idle")
@pytest.mark.parametrize("counts", [{}, {"starting": 1}], ids=["no-process", "first-process-starts"])
async def test_stays_ready_after_all_processes_ended_without_a_job(serve: Serve, counts: dict[str, int]) -> None:
    status, body = await get(serve, "/health/ready", ScriptedPool(counts=counts))

    assert (status, body["checks"]["pool"]["serving"]) == (200, True)
    assert body["checks"]["pool"]["workers"] == counts


async def test_not_ready_if_no_process_can_start_after_an_idle_time(serve: Serve) -> None:
    status, body = await get(serve, "/health/ready", ScriptedPool(counts={"starting": 1}, failing=True))

    assert (status, body["checks"]["pool"]["serving"]) == (503, False)


async def test_not_ready_while_the_database_is_unavailable(serve: Serve) -> None:
    client = await serve(store=ScriptedStore(is_failing=True))
    response = await client.get("/health/ready")
    body = await response.json()

    assert (response.status, body["status"], body["checks"]["database"]) == (503, "not_ready", False)


async def chat_and_readiness(client: Client) -> tuple[int, int, Any]:
    """Send a chat; return its status, and the status and body of the readiness check after it."""
    chat = await client.post("/v1/chat/completions", json=CHAT_BODY)
    ready = await client.get("/health/ready")
    return chat.status, ready.status, await ready.json()


@pytest.mark.promise("health.login-limit")
async def test_reached_limit_is_shown_and_leaves_the_gateway_ready(serve_admin: Serve) -> None:
    worker_source = ScriptedWorkerSource([HELLO_EVENTS])
    resets_at = time.time() + 3_600
    windows = (
        LimitWindow("five_hour", LimitStatus.REJECTED, 1.0, resets_at),
        LimitWindow("seven_day", LimitStatus.WARNING, 0.81234567, resets_at + 86_400),
    )
    worker_source.logins.create_limit_callback("default")(LimitReport(True, windows), "claude-test")
    client = await serve_admin(worker_source)

    chat, ready, report = await chat_and_readiness(client)
    auth = await (await client.get("/v1/auth/status")).json()
    metrics = await (await client.get("/metrics")).text()

    assert (chat, ready, report["checks"]["login"], report["checks"]["login_limited"]) == (429, 200, True, True)
    assert worker_source.jobs == []
    expected = {
        **DEFAULT_LOGIN_OBJECT,
        "limited": True,
        "limited_until": round(resets_at),
        "limits": [
            {"window": "five_hour", "status": "rejected", "used_share": 1.0, "resets_at": round(resets_at)},
            {
                "window": "seven_day",
                "status": "allowed_warning",
                "used_share": 0.8123,
                "resets_at": round(resets_at + 86_400),
            },
        ],
    }
    assert report["logins"] == auth["logins"] == [expected]
    assert 'gateway_login_used_share{login="default",window="five_hour"} 1.0' in metrics
    assert 'gateway_login_limited{login="default"} 1.0' in metrics
    assert 'gateway_held_back_jobs_total{login="default"} 1.0' in metrics


@pytest.mark.promise("health.ready")
async def test_not_ready_after_a_rejected_login_until_the_upstream_replies_again(serve: Serve) -> None:
    login_failed = [WorkerError(ErrorKind.AUTHENTICATION, "Claude Code's own login failed.")]
    overloaded = [WorkerError(ErrorKind.OVERLOADED, "The upstream is overloaded.")]
    client = await serve(ScriptedWorkerSource([HELLO_EVENTS, login_failed, overloaded, HELLO_EVENTS]))

    assert (await chat_and_readiness(client))[:2] == (200, 200)

    assert (await chat_and_readiness(client))[:2] == (503, 503)
    _, ready, report = await chat_and_readiness(client)  # an overloaded upstream says nothing about the login
    assert (ready, report["status"], report["checks"]["login"]) == (503, "not_ready", False)
    assert "login" in report["reason"]
    auth = await (await client.get("/v1/auth/status")).json()
    assert auth["claude_code_auth"]["status"]["valid"] is False

    status, ready, report = await chat_and_readiness(client)
    assert (status, ready, report["checks"]["login"]) == (200, 200, True)
    assert "reason" not in report


async def test_version_names_the_cli_in_use(serve: Serve) -> None:
    status, body = await get(serve, "/version")

    assert status == 200
    assert body["cli_version"] == "9.9.9"
    assert body.keys() == {"version", "api_version", "sdk_version", "cli_version"}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer another"}], ids=["no-key", "wrong-key"])
async def test_client_without_key_sees_only_the_api_version(serve: Serve, headers: dict[str, str]) -> None:
    client = await serve(api_key=SecretStr("the-key"))

    health, versions = [await (await client.get(path, headers=headers)).json() for path in ("/health", "/version")]

    assert health == {"status": "healthy", "service": "claude-gateway"}
    assert versions == {"api_version": "v1"}


async def test_client_with_key_sees_all_versions(serve: Serve) -> None:
    client = await serve(api_key=SecretStr("the-key"))

    health, versions = [
        await (await client.get(path, headers={"x-api-key": "the-key"})).json() for path in ("/health", "/version")
    ]

    assert "version" in health
    assert versions["cli_version"] == "9.9.9"


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("cli", "claude_cli"),
        ("api_key", "anthropic_api_key"),
        ("bedrock", "aws_bedrock"),
        ("vertex", "google_vertex"),
    ],
)
async def test_names_the_login_method(serve: Serve, method: str, name: str) -> None:
    _, body = await get(serve, "/v1/auth/status", claude_auth_method=method)

    assert body["claude_code_auth"]["method"] == name
    assert body["claude_code_auth"]["status"]["valid"] is True
    assert body["server_info"]["api_key_required"] is False
    assert body["server_info"]["api_key_source"] == "none"


async def test_reports_missing_login(serve: Serve) -> None:
    _, body = await get(serve, "/v1/auth/status", ScriptedPool(account={"tokenSource": "none"}))

    assert body["claude_code_auth"]["status"]["valid"] is False


async def test_status_endpoints_request_no_worker(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource([])
    client = await serve(dispatcher)

    for path in ("/health", "/health/live", "/health/ready", "/version", "/v1/auth/status", "/v1/models"):
        assert (await client.get(path)).status == 200
    assert dispatcher.jobs == []
