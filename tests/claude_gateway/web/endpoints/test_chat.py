"""Tests for `POST /v1/chat/completions`: replies, and the errors for invalid requests."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.web.responses.response_headers import build_response_headers
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.job import ChatJob, Text, Turn

PATH = "/v1/chat/completions"


async def post_invalid(client: Client, status: int, **options: Any) -> dict[str, Any]:
    """Send a request that must fail with this status, and return the error object."""
    response = await client.post(PATH, **options)
    assert (response.status, response.content_type) == (status, "application/json")
    body = await response.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert {"message", "type", "code"} <= error.keys()
    return error


@pytest.mark.promise("chat.whole")
async def test_replies_to_a_chat_with_a_completion(serve: Serve) -> None:
    client = await serve()

    body = await (await client.post(PATH, json=CHAT_BODY)).json()

    assert body["object"] == "chat.completion"
    assert body["model"] == MODEL
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert body["usage"]["total_tokens"] == 5


async def test_two_completions_have_different_ids(serve: Serve) -> None:
    client = await serve()

    first, second = [await (await client.post(PATH, json=CHAT_BODY)).json() for _ in range(2)]

    assert first["id"] != second["id"]


async def test_request_becomes_a_job_of_its_key(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher)

    await client.post(PATH, json=CHAT_BODY)

    assert dispatcher.jobs == [ChatJob("local", MODEL, (Turn("user", (Text("hi"),)),))]


async def test_names_the_used_model_in_a_header(serve: Serve) -> None:
    client = await serve()

    for body in (CHAT_BODY, STREAM_BODY):
        response = await client.post(PATH, json=body)
        assert response.headers["x-claude-model"] == MODEL


@pytest.mark.promise("chat.bare-path")
@pytest.mark.parametrize("prefix", ["", "/v1/v1"])
async def test_accepts_path_without_v1_and_with_a_second_one(serve: Serve, prefix: str) -> None:
    client = await serve()

    assert (await client.post(f"{prefix}/chat/completions", json=CHAT_BODY)).status == 200


async def test_ignores_the_content_type(serve: Serve) -> None:
    client = await serve()

    response = await client.post(PATH, data=orjson.dumps(CHAT_BODY), headers={"content-type": "text/plain"})

    assert response.status == 200


@pytest.mark.promise("chat.bad-body")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "m",}',
        b"[]",
        b'"text"',
        b"null",
        b'{"model": "\xff\xfe"}',
        b'{"model": "\\ud800"}',
        b'{"model": NaN}',
        b'{"messages": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
    ids=["empty", "truncated", "comma", "list", "string", "null", "not-utf-8", "surrogate", "nan", "deep"],
)
async def test_rejects_body_that_is_not_a_json_object_with_400(serve: Serve, body: bytes) -> None:
    error = await post_invalid(await serve(), 400, data=body)

    assert (error["type"], error["code"]) == ("validation_error", "invalid_json")


@pytest.mark.promise("chat.bad-shape")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": None}, "body -> model"),
        ({"model": ""}, "body -> model"),
        ({"model": 5}, "body -> model"),
        ({"messages": None}, "body -> messages"),
        ({"messages": []}, "body -> messages"),
        ({"messages": "hi"}, "body -> messages"),
        ({"messages": ["hi"]}, "body -> messages -> 0"),
        ({"messages": [{"content": "hi"}]}, "body -> messages -> 0 -> role"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "body -> messages -> 0 -> role"),
        ({"messages": [{"role": "user", "content": 5}]}, "body -> messages -> 0 -> content -> str"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "body -> messages -> 0 -> content -> list -> 0"),
        ({"max_tokens": "many"}, "body -> max_tokens"),
        ({"max_tokens": 1.5}, "body -> max_tokens"),
        ({"max_tokens": "100"}, "body -> max_tokens"),
        ({"max_tokens": "9" * 30}, "body -> max_tokens"),
        ({"max_tokens": True}, "body -> max_tokens"),
        ({"temperature": True}, "body -> temperature"),
        ({"temperature": "1e400"}, "body -> temperature"),
        ({"max_tokens": 0, "stream": "perhaps"}, "body -> max_tokens"),
        ({"stream": "perhaps"}, "body -> stream"),
        ({"stream_options": 1}, "body -> stream_options"),
    ],
)
async def test_rejects_wrong_type_with_422_and_names_the_field(
    serve: Serve, change: dict[str, Any], field: str
) -> None:
    error = await post_invalid(await serve(), 422, json={**CHAT_BODY, **change})

    assert (error["type"], error["code"]) == ("validation_error", "invalid_request_error")
    assert any(detail["field"].startswith(field) for detail in error["details"])
    assert all(detail.keys() == {"field", "message", "type"} for detail in error["details"])
    assert error["help"].keys() == {"common_issues", "debug_tip"}
    assert error["help"]["common_issues"]


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        ({}, "Missing required fields (model, messages)"),
        ({**CHAT_BODY, "messages": [{"role": "robot", "content": "hi"}]}, "Invalid role values"),
        ({**CHAT_BODY, "stream": "perhaps"}, "Invalid field types"),
    ],
)
async def test_help_of_a_422_lists_only_the_actual_issues(serve: Serve, body: Any, issue: str) -> None:
    (found_issue,) = (await post_invalid(await serve(), 422, json=body))["help"]["common_issues"]

    assert found_issue.startswith(issue)


@pytest.mark.promise("parameters.ranges")
async def test_rejects_number_out_of_range_with_400_that_names_parameter_and_range(serve: Serve) -> None:
    error = await post_invalid(await serve(), 400, json={**CHAT_BODY, "temperature": 3, "max_tokens": 0})

    assert (error["type"], error["code"], error["param"]) == ("validation_error", "invalid_request_error", "max_tokens")
    assert error["message"] == (
        "max_tokens: Input should be between 1 and 9223372036854775807, not 0; "
        "temperature: Input should be between 0 and 2, not 3"
    )
    assert [detail["field"] for detail in error["details"]] == ["body -> max_tokens", "body -> temperature"]
    assert error["help"]["common_issues"] == ["Invalid parameter ranges (e.g. temperature must be 0-2)"]


async def test_error_422_does_not_repeat_sent_values(serve: Serve) -> None:
    secret = "the-text-of-the-client"
    messages = [{"role": secret, "content": "hi"}] * 1_000

    error = await post_invalid(await serve(), 422, json={"model": "m", "messages": messages})

    assert secret not in str(error)
    assert len(error["details"]) <= 20


async def test_rejects_unanswerable_conversation_with_400_and_names_the_message(serve: Serve) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "tool", "content": "sunny"}]

    error = await post_invalid(await serve(), 400, json={**CHAT_BODY, "messages": messages})

    assert error["param"] == "messages.1.tool_call_id"


@pytest.mark.promise("limits.body-size")
@pytest.mark.parametrize("compressed", [False, True])
async def test_rejects_body_over_the_limit_with_413(serve: Serve, compressed: bool) -> None:
    raw = orjson.dumps({**CHAT_BODY, "padding": "x" * 200_000})
    body, headers = (gzip.compress(raw), {"content-encoding": "gzip"}) if compressed else (raw, {})

    error = await post_invalid(await serve(max_request_size=100_000), 413, data=body, headers=headers)

    assert error["type"] == "request_too_large"


async def test_accepts_body_of_exactly_the_limit(serve: Serve) -> None:
    body = orjson.dumps(CHAT_BODY)
    client = await serve(max_request_size=len(body))

    assert (await client.post(PATH, data=body)).status == 200
    assert (await client.post(PATH, data=body + b" ")).status == 413


@pytest.mark.promise("models.unknown")
@pytest.mark.parametrize("name", ["llama-4", "claude", "claude-é", "claude-a b", "claude-" + "x" * 5_000])
async def test_rejects_unknown_model_with_404(serve: Serve, name: str) -> None:
    error = await post_invalid(await serve(), 404, json={**CHAT_BODY, "model": name})

    assert error["code"] == "model_not_found"


@pytest.mark.promise("errors.retry-after")
@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ErrorKind)
async def test_job_that_fails_before_its_first_output_has_its_own_status(
    serve: Serve, kind: ErrorKind, body: dict[str, Any]
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(WorkerError(kind, "It failed.", retry_after=6.2)))

    response = await client.post(PATH, json=body)

    assert 400 <= response.status < 600
    assert "It failed." in (await response.json())["error"]["message"]
    assert response.headers.get("Retry-After") == ("7" if response.status in (429, 503) else None)
    assert response.headers.get("x-should-retry") == (
        "false"
        if kind in (ErrorKind.AUTHENTICATION, ErrorKind.LOGIN_LIMIT_REACHED, ErrorKind.TOOLS_UNAVAILABLE)
        else None
    )


async def test_internal_error_reveals_no_details(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    error = await post_invalid(await serve(ScriptedWorkerSource.repeating(RuntimeError("inside"))), 500, json=CHAT_BODY)

    assert error == {"message": "Internal error.", "type": "api_error", "code": "internal_error"}
    assert "inside" in caplog.text


@pytest.mark.promise("cancel.frees-worker")
async def test_disconnected_client_releases_the_worker(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS[:2], asyncio.Event())
    client = await serve(dispatcher)
    pending = asyncio.create_task(client.post(PATH, json=CHAT_BODY))
    async with asyncio.timeout(10):
        await dispatcher.job_started.wait()

        pending.cancel()

        await dispatcher.events_closed.wait()
        await dispatcher.worker_released.wait()


@pytest.mark.promise("chat.warnings")
async def test_names_unsupported_parameters_in_a_header(serve: Serve) -> None:
    client = await serve()

    for body in (CHAT_BODY, STREAM_BODY):
        response = await client.post(PATH, json={**body, "seed": 7})
        assert response.headers["x-gateway-warnings"] == "seed: ignored (Claude has no such parameter)"


async def test_fully_supported_request_has_no_warnings(serve: Serve) -> None:
    client = await serve()

    assert "x-gateway-warnings" not in (await client.post(PATH, json=CHAT_BODY)).headers


@pytest.mark.parametrize("name", ["\r\nset-cookie: a=b", "\x00", "ключ", "👍", "x" * 50_000])
async def test_parameter_name_cannot_split_a_header(serve: Serve, name: str) -> None:
    client = await serve()

    response = await client.post(PATH, json={**CHAT_BODY, name: 1})

    assert response.status == 200
    assert "set-cookie" not in response.headers
    assert response.headers["x-gateway-warnings"].isascii()


@given(st.lists(st.text(), min_size=1))
def test_warnings_header_is_printable_ascii_of_limited_length(warnings: list[str]) -> None:
    line = build_response_headers(MODEL, warnings)["x-gateway-warnings"]

    assert all(" " <= character <= "~" for character in line)
    assert len(line) <= 2_000
