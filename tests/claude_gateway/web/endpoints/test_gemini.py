"""Tests for `POST …/models/{model}:generateContent`, `streamGenerateContent` and `countTokens`."""

import asyncio
import logging
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr
from yarl import URL

from tests.claude_gateway.scripted import FINISHED, HELLO_EVENTS, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import TextDelta
from workers.core.job import ChatJob, Text, Turn

REQUEST = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
GENERATE_PATH = f"/v1beta/models/{MODEL}:generateContent"
ARRAY_PATH = f"/v1beta/models/{MODEL}:streamGenerateContent"
EVENTS_PATH = f"{ARRAY_PATH}?alt=sse"
COUNT_PATH = f"/v1beta/models/{MODEL}:countTokens"
WORD = TextDelta("Hel")
UPSTREAM_FAILURE = WorkerError(ErrorKind.UPSTREAM_ERROR, "The upstream broke.", detail="/home/someone")
TIMED_OUT = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.", detail="/home/someone")
KEY = SecretStr("the-key")
STATUS_WORDS = {
    400: "INVALID_ARGUMENT",
    402: "FAILED_PRECONDITION",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


async def read_chunks(response: ClientResponse) -> list[Any]:
    """Return the chunks of a complete stream. Google's clients accept only `data: ` lines, each with one empty line."""
    async with asyncio.timeout(10):
        text = await response.text()
    if response.content_type == "application/json":
        chunks: list[Any] = orjson.loads(text)
        return chunks
    assert response.content_type == "text/event-stream"
    *blocks, remainder = text.split("\n\n")
    assert remainder == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [orjson.loads(block.removeprefix("data: ")) for block in blocks]


def get_text(chunks: list[Any]) -> str:
    """Return the text of all chunks."""
    return "".join(
        part["text"] for chunk in chunks if "candidates" in chunk for part in chunk["candidates"][0]["content"]["parts"]
    )


async def post_invalid(client: Client, status: int, path: str | URL, **options: Any) -> dict[str, Any]:
    """Send a request that must fail with this status, and return the error object."""
    response = await client.post(path, **options)
    assert (response.status, response.content_type) == (status, "application/json")
    body = await response.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error["code"] == status
    assert {"code", "message", "status"} <= error.keys()
    return error


@pytest.mark.promise("gemini.whole")
@pytest.mark.parametrize("prefix", ["/v1beta", "/v1", ""])
@pytest.mark.parametrize("name", [MODEL, f"models/{MODEL}", f"models%2F{MODEL}", MODEL.replace("-", "%2D")])
async def test_replies_to_a_request_with_a_candidate(serve: Serve, prefix: str, name: str) -> None:
    client = await serve()

    response = await client.post(URL(f"{prefix}/models/{name}:generateContent", encoded=True), json=REQUEST)
    body = await response.json()

    assert body["candidates"] == [
        {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP", "index": 0}
    ]
    assert body["modelVersion"] == MODEL
    assert body["usageMetadata"]["totalTokenCount"] == 5
    assert response.headers["x-claude-model"] == MODEL


async def test_request_becomes_a_job_of_its_key(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher)

    await client.post(GENERATE_PATH, json=REQUEST)

    assert dispatcher.jobs == [ChatJob("local", MODEL, (Turn("user", (Text("hi"),)),))]


async def test_two_responses_have_different_ids(serve: Serve) -> None:
    client = await serve()

    first, second = [(await (await client.post(GENERATE_PATH, json=REQUEST)).json())["responseId"] for _ in range(2)]

    assert first != second


@pytest.mark.promise("gemini.stream")
@pytest.mark.parametrize(("path", "kind"), [(EVENTS_PATH, "text/event-stream"), (ARRAY_PATH, "application/json")])
async def test_streams_as_events_or_as_an_array(serve: Serve, path: str, kind: str) -> None:
    client = await serve()

    response = await client.post(path, json=REQUEST)
    chunks = await read_chunks(response)

    assert response.content_type == kind
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert get_text(chunks) == "Hello"
    assert [("finishReason" in chunk["candidates"][0], "usageMetadata" in chunk) for chunk in chunks] == [
        *([(False, False)] * (len(chunks) - 1)),
        (True, True),
    ]
    assert len({chunk["responseId"] for chunk in chunks}) == 1


@pytest.mark.parametrize("path", [EVENTS_PATH, ARRAY_PATH])
async def test_streams_each_chunk_immediately(serve: Serve, path: str) -> None:
    more = asyncio.Event()
    client = await serve(ScriptedWorkerSource.repeating(STARTED, WORD, more, TextDelta("lo"), FINISHED))

    async with asyncio.timeout(10):
        response = await client.post(path, json=REQUEST)
        before = await response.content.readuntil(b'"Hel"')
        more.set()

    assert b'"lo"' not in before
    assert b'"lo"' in await response.read()


@pytest.mark.promise("gemini.heartbeat")
@pytest.mark.parametrize("before", [(), (STARTED, WORD)], ids=["before a word", "between words"])
async def test_sends_empty_chunk_as_heartbeat_of_silent_events(serve: Serve, before: tuple[Any, ...]) -> None:
    silence = asyncio.Event()
    dispatcher = ScriptedWorkerSource.repeating(*before, silence, TextDelta("lo"), FINISHED)
    client = await serve(dispatcher, stream_head_timeout_seconds=0, heartbeat_interval_seconds=0.01)

    async with asyncio.timeout(10):
        response = await client.post(EVENTS_PATH, json=REQUEST)
        heartbeats = [await response.content.readuntil(b"\n\n") for _ in range(4)]
        silence.set()

    for heartbeat in heartbeats[-2:]:
        assert heartbeat.startswith(b"data: {")
        assert orjson.loads(heartbeat.removeprefix(b"data: ")) == {
            "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}]
        }
    assert get_text(await read_chunks(response)) == "lo"


@pytest.mark.promise("gemini.heartbeat")
@pytest.mark.parametrize("before", [(), (STARTED, WORD)], ids=["before a word", "between words"])
async def test_sends_whitespace_as_heartbeat_of_a_silent_array(serve: Serve, before: tuple[Any, ...]) -> None:
    silence = asyncio.Event()
    dispatcher = ScriptedWorkerSource.repeating(*before, silence, TextDelta("lo"), FINISHED)
    client = await serve(dispatcher, stream_head_timeout_seconds=0, heartbeat_interval_seconds=0.01)

    async with asyncio.timeout(10):
        response = await client.post(ARRAY_PATH, json=REQUEST)
        start = await response.content.readuntil(b"\n\n")
        silence.set()
        chunks = orjson.loads(start + await response.read())

    assert get_text(chunks) == ("Hello" if before else "lo")


@pytest.mark.promise("gemini.error-after-head")
@pytest.mark.parametrize("steps", [(STARTED,), (STARTED, WORD)], ids=["before-a-word", "after-a-word"])
@pytest.mark.parametrize("path", [EVENTS_PATH, ARRAY_PATH])
async def test_error_after_the_head_is_the_last_element_of_a_valid_stream(
    serve: Serve, path: str, steps: tuple[Any, ...]
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*steps, TIMED_OUT))

    response = await client.post(path, json=REQUEST)
    *before, last = await read_chunks(response)

    assert response.status == 200
    assert last.keys() == {"error"}
    assert (last["error"]["code"], last["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    assert last["error"]["message"] == "The answer took too long."
    assert not any("error" in chunk or "finishReason" in chunk["candidates"][0] for chunk in before)


@pytest.mark.promise("errors.envelope")
@pytest.mark.parametrize("path", [GENERATE_PATH, EVENTS_PATH, ARRAY_PATH])
@pytest.mark.parametrize("kind", ErrorKind)
async def test_job_that_fails_before_its_first_output_has_a_google_status(
    serve: Serve, kind: ErrorKind, path: str
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(WorkerError(kind, "It failed.", retry_after=6.2)))

    response = await client.post(path, json=REQUEST)
    error = (await response.json())["error"]

    assert (error["code"], "It failed." in error["message"]) == (response.status, True)
    assert error["status"] == STATUS_WORDS[response.status]
    retry_delays = [detail["retryDelay"] for detail in error["details"] if "retryDelay" in detail]
    assert retry_delays == (["7s"] if response.status in (429, 503) else [])
    assert response.headers.get("Retry-After") == ("7" if retry_delays else None)


@pytest.mark.promise("models.unknown")
@pytest.mark.parametrize("prefix", ["/v1beta", "/v1", ""])
@pytest.mark.parametrize(
    "path",
    [
        "/models/unknown-model:generateContent",
        "/models/publishers/google/models/x:generateContent",
        "/models/a%2Fb%2F..%2Fc:streamGenerateContent?alt=sse",
        "/models/100%25:countTokens",
        "/models/%zz%:generateContent",
        "/models/%D0%B6:generateContent",
        "/models/:generateContent",
        "/models/models/:generateContent",
        "/models/models/models/" + MODEL + ":generateContent",
        "/models/a:b:generateContent",
        "/models/" + "x" * 4_000 + ":generateContent",
        "/tunedModels/mine:generateContent",
        f"/tunedModels/{MODEL}:generateContent",
    ],
)
async def test_rejects_unknown_model_with_404_in_any_spelling(serve: Serve, prefix: str, path: str) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher)

    error = await post_invalid(client, 404, URL(f"{prefix}{path}", encoded=True), json=REQUEST)

    assert error["status"] == "NOT_FOUND"
    assert error["details"][0]["reason"] == "MODEL_NOT_FOUND"
    assert error["message"].isascii()
    assert dispatcher.jobs == []


@pytest.mark.parametrize(
    "path",
    [
        f"/v1beta/models/{MODEL}:embedContent",
        f"/v1beta/models/{MODEL}:",
        f"/v1beta/models/{MODEL}",
        f"/v1/models/{MODEL}:generatecontent",
        "/v1/models/%00%0d%0a:generateContent",
        "/v1beta/models/%0A",
        "/v1beta/cachedContents",
    ],
)
async def test_rejects_unknown_model_method_with_404_in_google_format(serve: Serve, path: str) -> None:
    assert (await post_invalid(await serve(), 404, URL(path, encoded=True), json=REQUEST))["status"] == "NOT_FOUND"


@pytest.mark.promise("chat.bad-body")
@pytest.mark.parametrize("path", [GENERATE_PATH, EVENTS_PATH, ARRAY_PATH, COUNT_PATH])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"contents": NaN}'])
async def test_rejects_body_that_is_not_a_json_object_with_400(serve: Serve, path: str, body: bytes) -> None:
    assert (await post_invalid(await serve(), 400, path, data=body))["status"] == "INVALID_ARGUMENT"


@pytest.mark.promise("gemini.bad-shape")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contents": None}, "contents"),
        ({"contents": [{"role": "robot"}]}, "contents.0.role"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents.0.parts.0.text"),
        ({"contents": [{"parts": [{"inline_data": {"data": "AAAA"}}]}]}, "contents.0.parts.0.inline_data.mimeType"),
        ({"tools": [1]}, "tools.0"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools.0.functionDeclarations.0.name"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "PERHAPS"}}}, "toolConfig.functionCallingConfig.mode"),
    ],
)
async def test_rejects_wrong_type_with_google_400_that_names_the_field(
    serve: Serve, change: dict[str, Any], field: str
) -> None:
    error = await post_invalid(await serve(), 400, GENERATE_PATH, json={**REQUEST, **change})

    assert error["status"] == "INVALID_ARGUMENT"
    assert field in error["message"]
    (violations,) = [detail["fieldViolations"] for detail in error["details"] if "fieldViolations" in detail]
    assert violations[0]["field"] == field


async def test_names_orphan_function_response_in_a_header(serve: Serve) -> None:
    function_response = {"functionResponse": {"id": "call-7", "name": "f", "response": {}}}
    contents = [*REQUEST["contents"], {"role": "model", "parts": [{"text": "no call"}]}, {"parts": [function_response]}]

    response = await (await serve()).post(GENERATE_PATH, json={"contents": contents})

    assert response.status == 200
    assert (
        "converted the result of 'call-7' to text (the request has no such call)"
        in response.headers["x-gateway-warnings"]
    )


async def test_rejects_request_of_only_orphan_responses_with_400(serve: Serve) -> None:
    function_response = {"functionResponse": {"id": "call-7", "name": "f", "response": {}}}

    error = await post_invalid(await serve(), 400, GENERATE_PATH, json={"contents": [{"parts": [function_response]}]})

    assert "call-7" in error["message"]


async def test_names_unsupported_parameters_in_a_header(serve: Serve) -> None:
    client = await serve()

    for path in (GENERATE_PATH, EVENTS_PATH, ARRAY_PATH):
        response = await client.post(path, json={**REQUEST, "generationConfig": {"seed": 7}})
        assert response.headers["x-gateway-warnings"] == "generationConfig.seed: ignored (Claude has no such parameter)"


@pytest.mark.promise("gemini.count")
@pytest.mark.parametrize("request_body", [REQUEST, {"generateContentRequest": {"model": f"models/{MODEL}", **REQUEST}}])
async def test_counts_tokens_without_a_worker(serve: Serve, request_body: dict[str, Any]) -> None:
    dispatcher = ScriptedWorkerSource([])
    client = await serve(dispatcher)
    longer_body = orjson.loads(orjson.dumps(request_body).replace(b'"hi"', b'"' + b"word " * 400 + b'"'))

    few, many = [
        (await (await client.post(COUNT_PATH, json=body)).json())["totalTokens"] for body in (request_body, longer_body)
    ]

    assert 0 < few < many
    assert dispatcher.jobs == []


async def test_rejects_token_count_of_an_empty_request(serve: Serve) -> None:
    assert "contents" in (await post_invalid(await serve(), 400, COUNT_PATH, json={}))["message"]


@pytest.mark.promise("keys.headers")
@pytest.mark.parametrize("path", [GENERATE_PATH, EVENTS_PATH, ARRAY_PATH, COUNT_PATH])
async def test_accepts_key_in_header_or_query(serve: Serve, path: str) -> None:
    client = await serve(api_key=KEY)
    path_with_key = str(URL(path).update_query(key="the-key"))

    assert (await client.post(path_with_key, json=REQUEST)).status == 200
    for headers in ({"x-goog-api-key": "the-key"}, {"authorization": "Bearer the-key"}, {"x-api-key": "the-key"}):
        assert (await client.post(path, json=REQUEST, headers=headers)).status == 200
    for wrong_path in (path, str(URL(path).update_query(key="another"))):
        error = await post_invalid(client, 401, wrong_path, json=REQUEST)
        assert error["status"] == "UNAUTHENTICATED"
        assert "another" not in str(error)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/auth/status", "/v1/nowhere"])
async def test_rejects_key_in_query_on_paths_of_other_dialects(serve: Serve, path: str) -> None:
    client = await serve(api_key=KEY)

    assert (await client.post(f"{path}?key=the-key", json={})).status == 401


@pytest.mark.promise("keys.never-logged")
@pytest.mark.parametrize(
    "path",
    [
        GENERATE_PATH,
        EVENTS_PATH,
        COUNT_PATH,
        "/v1beta/models",
        "/v1beta/models/none:generateContent",
        f"/v1beta/models/{MODEL}:nothing",
        "/v1beta/nowhere",
    ],
)
@pytest.mark.parametrize(
    "steps",
    [HELLO_EVENTS, [STARTED, RuntimeError("inside")], [UPSTREAM_FAILURE]],
    ids=["success", "internal-error", "upstream-error"],
)
async def test_key_in_query_is_in_no_log_and_no_response(
    serve: Serve, caplog: pytest.LogCaptureFixture, path: str, steps: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    client = await serve(ScriptedWorkerSource.repeating(*steps), api_key=KEY)
    path_with_key = str(URL(path).update_query(key="the-key"))

    responses = [await client.request(method, path_with_key, json=REQUEST) for method in ("POST", "GET", "DELETE")]
    received = [(await response.text()) + str(response.headers) for response in responses]

    # The server of the tests writes an access log; the gateway does not.
    logged = [caplog.handler.format(record) for record in caplog.records if record.name != "aiohttp.access"]
    assert logged
    assert not any("the-key" in text for text in (*logged, *received))
