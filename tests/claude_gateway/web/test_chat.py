"""`POST /v1/chat/completions` as a caller sees it: good answers, and a fitting refusal of every bad body."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.web.answer_headers import answer_headers
from tests.claude_gateway.scripted import CHAT, HELLO, MODEL, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from workers.errors import ErrorKind, WorkerError
from workers.job import ChatJob, Text, Turn

PATH = "/v1/chat/completions"


async def refused(client: Client, status: int, **sent: Any) -> dict[str, Any]:
    """The error object of an answer with this status."""
    response = await client.post(PATH, **sent)
    assert (response.status, response.content_type) == (status, "application/json")
    body = await response.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert {"message", "type", "code"} <= error.keys()
    return error


@pytest.mark.promise("chat.whole")
async def test_a_chat_is_answered_with_a_completion(serve: Serve) -> None:
    client = await serve()

    body = await (await client.post(PATH, json=CHAT)).json()

    assert body["object"] == "chat.completion"
    assert body["model"] == MODEL
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert body["usage"]["total_tokens"] == 5


async def test_two_completions_have_different_ids(serve: Serve) -> None:
    client = await serve()

    first, second = [await (await client.post(PATH, json=CHAT)).json() for _ in range(2)]

    assert first["id"] != second["id"]


async def test_the_request_becomes_the_job_of_its_key(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    await client.post(PATH, json=CHAT)

    assert dispatcher.jobs == [ChatJob("local", MODEL, (Turn("user", (Text("hi"),)),))]


async def test_the_model_used_is_named_beside_the_answer(serve: Serve) -> None:
    client = await serve()

    for body in (CHAT, STREAM):
        response = await client.post(PATH, json=body)
        assert response.headers["x-claude-model"] == MODEL


@pytest.mark.promise("chat.bare-path")
@pytest.mark.parametrize("prefix", ["", "/v1/v1"])
async def test_the_path_also_stands_without_v1_and_with_one_too_many(serve: Serve, prefix: str) -> None:
    client = await serve()

    assert (await client.post(f"{prefix}/chat/completions", json=CHAT)).status == 200


async def test_the_content_type_does_not_matter(serve: Serve) -> None:
    client = await serve()

    response = await client.post(PATH, data=orjson.dumps(CHAT), headers={"content-type": "text/plain"})

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
    ids=["empty", "cut", "comma", "list", "string", "null", "not-utf-8", "surrogate", "nan", "deep"],
)
async def test_a_body_that_is_no_json_object_is_a_400(serve: Serve, body: bytes) -> None:
    error = await refused(await serve(), 400, data=body)

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
        ({"messages": [{"role": "user", "content": [{}]}]}, "body -> messages -> 0 -> content -> list[Part] -> 0"),
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
async def test_a_wrong_shape_is_a_422_that_names_the_field(serve: Serve, change: dict[str, Any], field: str) -> None:
    error = await refused(await serve(), 422, json={**CHAT, **change})

    assert (error["type"], error["code"]) == ("validation_error", "invalid_request_error")
    assert any(detail["field"].startswith(field) for detail in error["details"])
    assert all(detail.keys() == {"field", "message", "type"} for detail in error["details"])
    assert error["help"].keys() == {"common_issues", "debug_tip"}
    assert error["help"]["common_issues"]


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        ({}, "Missing required fields (model, messages)"),
        ({**CHAT, "messages": [{"role": "robot", "content": "hi"}]}, "Invalid role values"),
        ({**CHAT, "stream": "perhaps"}, "Invalid field types"),
    ],
)
async def test_a_422_helps_with_what_is_wrong_and_with_nothing_else(serve: Serve, body: Any, issue: str) -> None:
    (only,) = (await refused(await serve(), 422, json=body))["help"]["common_issues"]

    assert only.startswith(issue)


@pytest.mark.promise("parameters.ranges")
async def test_a_number_out_of_its_range_is_a_400_with_the_parameter_the_number_and_the_range(serve: Serve) -> None:
    error = await refused(await serve(), 400, json={**CHAT, "temperature": 3, "max_tokens": 0})

    assert (error["type"], error["code"], error["param"]) == ("validation_error", "invalid_request_error", "max_tokens")
    assert error["message"] == (
        "max_tokens: Input should be between 1 and 9223372036854775807, not 0; "
        "temperature: Input should be between 0 and 2, not 3"
    )
    assert [one["field"] for one in error["details"]] == ["body -> max_tokens", "body -> temperature"]
    assert error["help"]["common_issues"] == ["Invalid parameter ranges (e.g. temperature must be 0-2)"]


async def test_a_422_does_not_repeat_what_was_sent(serve: Serve) -> None:
    secret = "the-text-of-the-caller"
    messages = [{"role": secret, "content": "hi"}] * 1_000

    error = await refused(await serve(), 422, json={"model": "m", "messages": messages})

    assert secret not in str(error)
    assert len(error["details"]) <= 20


async def test_a_conversation_that_cannot_be_answered_is_a_400_naming_the_message(serve: Serve) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "tool", "content": "sunny"}]

    error = await refused(await serve(), 400, json={**CHAT, "messages": messages})

    assert error["param"] == "messages.1.tool_call_id"


@pytest.mark.promise("limits.body-size")
@pytest.mark.parametrize("compressed", [False, True])
async def test_a_body_over_the_limit_is_a_413(serve: Serve, compressed: bool) -> None:
    raw = orjson.dumps({**CHAT, "padding": "x" * 200_000})
    body, headers = (gzip.compress(raw), {"content-encoding": "gzip"}) if compressed else (raw, {})

    error = await refused(await serve(max_request_size=100_000), 413, data=body, headers=headers)

    assert error["type"] == "request_too_large"


async def test_a_body_of_exactly_the_limit_is_taken(serve: Serve) -> None:
    body = orjson.dumps(CHAT)
    client = await serve(max_request_size=len(body))

    assert (await client.post(PATH, data=body)).status == 200
    assert (await client.post(PATH, data=body + b" ")).status == 413


@pytest.mark.promise("models.unknown")
@pytest.mark.parametrize("name", ["llama-4", "claude", "claude-é", "claude-a b", "claude-" + "x" * 5_000])
async def test_a_model_that_is_not_ours_is_a_404(serve: Serve, name: str) -> None:
    error = await refused(await serve(), 404, json={**CHAT, "model": name})

    assert error["code"] == "model_not_found"


@pytest.mark.promise("errors.retry-after")
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", ErrorKind)
async def test_a_job_that_fails_before_its_first_word_has_a_status_of_its_own(
    serve: Serve, kind: ErrorKind, body: dict[str, Any]
) -> None:
    client = await serve(ScriptedDispatcher.always(WorkerError(kind, "It failed.", retry_after=6.2)))

    response = await client.post(PATH, json=body)

    assert 400 <= response.status < 600
    assert "It failed." in (await response.json())["error"]["message"]
    assert response.headers.get("Retry-After") == ("7" if response.status in (429, 503) else None)
    assert response.headers.get("x-should-retry") == (
        "false" if kind in (ErrorKind.LOGIN, ErrorKind.NO_TOOLS) else None
    )


async def test_a_fault_of_the_gateway_tells_nothing_of_its_insides(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    error = await refused(await serve(ScriptedDispatcher.always(RuntimeError("inside"))), 500, json=CHAT)

    assert error == {"message": "Internal error.", "type": "api_error", "code": "internal_error"}
    assert "inside" in caplog.text


@pytest.mark.promise("cancel.frees-worker")
async def test_a_caller_who_leaves_before_the_whole_answer_frees_the_worker(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO[:2], asyncio.Event())
    client = await serve(dispatcher)
    asking = asyncio.create_task(client.post(PATH, json=CHAT))
    async with asyncio.timeout(10):
        await dispatcher.asked.wait()

        asking.cancel()

        await dispatcher.closed.wait()
        await dispatcher.released.wait()


@pytest.mark.promise("chat.warnings")
async def test_what_is_not_honoured_is_named_in_a_header(serve: Serve) -> None:
    client = await serve()

    for body in (CHAT, STREAM):
        response = await client.post(PATH, json={**body, "seed": 7})
        assert response.headers["x-gateway-warnings"] == "seed: Claude has no such parameter"


async def test_a_request_that_is_honoured_whole_has_no_warnings(serve: Serve) -> None:
    client = await serve()

    assert "x-gateway-warnings" not in (await client.post(PATH, json=CHAT)).headers


@pytest.mark.parametrize("name", ["\r\nset-cookie: a=b", "\x00", "ключ", "👍", "x" * 50_000])
async def test_a_hostile_parameter_name_splits_no_header(serve: Serve, name: str) -> None:
    client = await serve()

    response = await client.post(PATH, json={**CHAT, name: 1})

    assert response.status == 200
    assert "set-cookie" not in response.headers
    assert response.headers["x-gateway-warnings"].isascii()


@given(st.lists(st.text(), min_size=1))
def test_the_warnings_are_always_printable_ascii_of_a_bounded_length(warnings: list[str]) -> None:
    line = answer_headers(MODEL, warnings)["x-gateway-warnings"]

    assert all(" " <= letter <= "~" for letter in line)
    assert len(line) <= 2_000
