"""Logins that clients see in `/v1/auth/status`, `/health/ready` and the response header."""

from typing import Any

import pytest

from claude_gateway.auth.key_store import KeyStore
from claude_gateway.claude_code.login_report import build_login_object
from claude_gateway.openapi.resources.health import LoginDetails
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import ADMIN_KEY, Client, Serve
from workers.core.errors import ErrorKind
from workers.core.settings import AuthMethod
from workers.logins.login_state import LoginState, LoginSummary
from workers.logins.monitor import LoginMonitor


def create_source(*names: str, fallback: bool = True) -> ScriptedWorkerSource:
    source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    source.logins = LoginMonitor([LoginState(name, AuthMethod.API_KEY) for name in names], allows_fallback=fallback)
    return source


async def create_key(client: Client, **fields: Any) -> dict[str, str]:
    response = await client.post("/v1/admin/keys", json={"name": "one", **fields})
    return {"Authorization": f"Bearer {(await response.json())['key']}"}


async def list_visible(client: Client, path: str, headers: dict[str, str]) -> list[str]:
    response = await client.get(path, headers=headers)
    return [login["name"] for login in (await response.json())["logins"]]


@pytest.mark.parametrize("path", ["/v1/auth/status", "/health/ready"])
async def test_key_without_admin_sees_only_the_logins_that_it_may_use(
    serve_admin: Serve, keys: KeyStore, path: str
) -> None:
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    client = await serve_admin(create_source("a", "b"), keys=keys)
    assert await list_visible(client, path, admin) == ["a", "b"]
    assert await list_visible(client, path, await create_key(client)) == ["a", "b"]
    assert await list_visible(client, path, await create_key(client, login="b")) == ["b"]

    without_fallback = await serve_admin(create_source("a", "b", fallback=False), keys=keys)
    assert await list_visible(without_fallback, path, admin) == ["a", "b"]
    assert await list_visible(without_fallback, path, await create_key(without_fallback)) == ["a"]


@pytest.mark.parametrize(("names", "header"), [(["a"], None), (["a", "b"], "a")])
async def test_response_names_the_login_if_there_are_several(
    serve: Serve, names: list[str], header: str | None
) -> None:
    client = await serve(create_source(*names))
    response = await client.post("/v1/chat/completions", json=CHAT_BODY)
    assert (response.status, response.headers.get("x-gateway-login")) == (200, header)


async def test_operator_sees_why_a_login_is_not_used(serve_admin: Serve) -> None:
    source = create_source("a", "b")
    source.logins.on_start_failed("a")
    client = await serve_admin(source)
    reports = (await (await client.get("/v1/auth/status")).json())["logins"]
    assert [(report["failure"], report["valid"]) for report in reports] == [("start_failed", True), (None, True)]
    metrics = await (await client.get("/metrics")).text()
    assert 'gateway_login_failed{login="a"} 1.0' in metrics
    assert 'gateway_login_failed{login="b"} 0.0' in metrics


@pytest.mark.parametrize("kind", [ErrorKind.AUTHENTICATION, ErrorKind.BILLING, ErrorKind.START_FAILED, None])
def test_openapi_describes_each_failure(kind: ErrorKind | None) -> None:
    report = build_login_object(LoginSummary("a", AuthMethod.CLI, failure=kind))
    assert LoginDetails.model_validate(report).model_dump() == report
