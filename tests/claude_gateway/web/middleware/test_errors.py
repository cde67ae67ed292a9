"""Middleware of every request: request id, key, log line and error body."""

import asyncio
import errno
import logging
import os
from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.mcp_servers.manager import McpServerManager
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve

CHAT_PATH = "/v1/chat/completions"
KEY = SecretStr("the-key")
BEARER = {"authorization": "Bearer the-key"}
OPEN_PATHS = ["/health", "/health/live", "/health/ready", "/version"]
PATHS_WITH_KEY = ["/v1/models", "/models", "/v1/auth/status", "/v1/models/x", "/nowhere", "/health/", "/v1/health"]


@pytest.mark.promise("request-id.echoed")
@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["whole", "stream"])
@pytest.mark.parametrize("request_id", ["req-1", "a" * 128, "trace:1/2.3_4+5=@x"])
async def test_keeps_safe_request_id_of_the_client(serve: Serve, body: dict[str, Any], request_id: str) -> None:
    client = await serve()

    response = await client.post(CHAT_PATH, json=body, headers={"x-request-id": request_id})

    assert response.headers["x-request-id"] == request_id


@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["whole", "stream"])
@pytest.mark.parametrize("request_id", ["a" * 129, "two words", "ключ", 'quo"te', ""])
async def test_replaces_unsafe_request_id_of_the_client(serve: Serve, body: dict[str, Any], request_id: str) -> None:
    client = await serve()

    response = await client.post(CHAT_PATH, json=body, headers={"x-request-id": request_id})

    assert response.status == 200
    assert response.headers["x-request-id"] != request_id
    assert response.headers["x-request-id"].isalnum()


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/models/none"])
async def test_errors_and_small_responses_have_a_new_request_id(serve: Serve, path: str) -> None:
    client = await serve()

    first, second = [(await client.get(path)).headers["x-request-id"] for _ in range(2)]

    assert first != second


@pytest.mark.promise("errors.envelope")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/v1/nowhere", 404),
        ("GET", CHAT_PATH, 405),
        ("DELETE", CHAT_PATH, 405),
        ("PATCH", CHAT_PATH, 405),
        ("POST", "/v1/models", 405),
    ],
)
async def test_wrong_path_or_method_has_the_common_error_format(
    serve: Serve, method: str, path: str, status: int
) -> None:
    client = await serve()

    response = await client.request(method, path)

    assert response.status == status
    assert {"message", "type", "code"} <= (await response.json())["error"].keys()
    assert ("Allow" in response.headers) is (status == 405)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "BREW"])
@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/v1/models/none", CHAT_PATH, "/nowhere", "/%2e%2e/x"])
async def test_no_method_on_any_path_is_a_500(serve: Serve, method: str, path: str) -> None:
    client = await serve()

    assert (await client.request(method, path)).status < 500


async def test_head_responds_like_get_without_a_body(serve: Serve) -> None:
    client = await serve()

    response = await client.head("/v1/models")

    assert (response.status, await response.read()) == (200, b"")


async def test_rejects_upgrade_immediately(serve: Serve) -> None:
    client = await serve()
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}

    response = await client.get("/v1/responses", headers=headers)

    assert 400 <= response.status < 500


@pytest.mark.promise("keys.open-paths")
@pytest.mark.parametrize("path", OPEN_PATHS)
async def test_open_path_needs_no_key(serve: Serve, path: str) -> None:
    client = await serve(api_key=KEY)

    assert (await client.get(path)).status == 200


@pytest.mark.promise("keys.needed")
@pytest.mark.parametrize("path", PATHS_WITH_KEY)
async def test_every_other_path_needs_the_key(serve: Serve, path: str) -> None:
    client = await serve(api_key=KEY)

    without = await client.get(path)
    wrong = await client.get(path, headers={"authorization": "Bearer another"})

    for response in (without, wrong):
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await response.json())["error"]["type"] == "authentication_error"
    assert (await client.get(path, headers=BEARER)).status != 401


@pytest.mark.parametrize("path", [CHAT_PATH, "/chat/completions"])
async def test_chat_without_the_key_uses_no_worker(serve: Serve, path: str) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, api_key=KEY)

    assert (await client.post(path, json=CHAT_BODY)).status == 401
    assert (await client.post(path, json=CHAT_BODY, headers={"x-api-key": "the-key"})).status == 200
    assert [job.key_id for job in worker_source.jobs] == ["environment"]


async def test_rejects_missing_key_before_reading_the_body(serve: Serve) -> None:
    client = await serve(api_key=KEY, max_request_size=10)

    assert (await client.post(CHAT_PATH, data=b"x" * 1_000)).status == 401


@pytest.mark.promise("keys.none-local-only")
@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"host": "evil.example"},
    ],
    ids=lambda headers: "-".join(headers),
)
async def test_without_a_key_only_a_direct_local_client_is_served(serve: Serve, headers: dict[str, str]) -> None:
    client = await serve()

    assert (await client.post(CHAT_PATH, json=CHAT_BODY)).status == 200
    response = await client.post(CHAT_PATH, json=CHAT_BODY, headers=headers)

    assert response.status == 401
    assert "API_KEY=" in (await response.json())["error"]["message"]


@pytest.mark.promise("keys.never-logged")
async def test_log_line_names_the_request_and_no_secret(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "claude_gateway")
    client = await serve(api_key=KEY)

    await client.get("/v1/models?key=the-key", headers={**BEARER, "x-request-id": "req-1"})

    assert "GET /v1/models 200" in caplog.text
    assert "req-1" in caplog.text
    assert "the-key" not in caplog.text


async def test_client_cannot_write_log_lines(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "claude_gateway")
    client = await serve()

    await client.get("/x%0Aforged%20line")

    assert all("\n" not in record.getMessage() for record in caplog.records)


async def test_logs_disconnected_client_as_499(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "claude_gateway")
    worker_source = ScriptedWorkerSource.repeating(asyncio.Event())
    client = await serve(worker_source)
    request_task = asyncio.create_task(client.post(CHAT_PATH, json=CHAT_BODY))
    async with asyncio.timeout(10):
        await worker_source.job_started.wait()
        request_task.cancel()
        await worker_source.worker_released.wait()
    await client.close()  # waits for the handler

    assert f"POST {CHAT_PATH} 499" in caplog.text


REQUESTS = {
    "chat": (CHAT_PATH, CHAT_BODY),
    "stream": (CHAT_PATH, STREAM_BODY),
    "messages": ("/v1/messages", {**CHAT_BODY, "max_tokens": 9}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "hi", "store": False}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
}


@pytest.mark.promise("errors.host")
@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EMFILE, 503)])
@pytest.mark.parametrize(("path", "body"), REQUESTS.values(), ids=REQUESTS)
async def test_host_failure_is_reported_with_retry_after(
    serve: Serve, path: str, body: Any, number: int, status: int
) -> None:
    failure = OSError(number, os.strerror(number), "/var/lib/secret")
    client = await serve(ScriptedWorkerSource.repeating(failure))

    response = await client.post(path, json=body)

    assert response.status == status
    assert response.headers["Retry-After"] == "30"
    assert "secret" not in await response.text()


async def test_host_failure_after_the_first_output_ends_the_stream_with_an_error(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*HELLO_EVENTS[:3], OSError(errno.EIO, "Input/output error")))

    text = await (await client.post(CHAT_PATH, json=STREAM_BODY)).text()

    assert "host_failure" in text


@pytest.mark.promise("errors.host")
async def test_host_failure_of_other_endpoints_is_reported_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await serve(api_key=KEY)

    async def fail(*_: object) -> None:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    monkeypatch.setattr(McpServerManager, "list_servers", fail)
    response = await client.get("/v1/mcp/servers", headers={"Authorization": f"Bearer {KEY.get_secret_value()}"})

    assert (response.status, response.headers["Retry-After"]) == (503, "30")
