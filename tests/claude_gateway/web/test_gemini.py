"""`POST …/models/{model}:generateContent` and its sisters as a caller sees them."""

import asyncio
import logging
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from pydantic import SecretStr
from yarl import URL

from tests.claude_gateway.scripted import FINISHED, HELLO, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from workers.errors import ErrorKind, WorkerError
from workers.events import TextDelta
from workers.job import ChatJob, Text, Turn

ASK = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
WHOLE = f"/v1beta/models/{MODEL}:generateContent"
ARRAY = f"/v1beta/models/{MODEL}:streamGenerateContent"
EVENTS = f"{ARRAY}?alt=sse"
COUNT = f"/v1beta/models/{MODEL}:countTokens"
WORD = TextDelta("Hel")
BROKE = WorkerError(ErrorKind.UPSTREAM, "The upstream broke.", detail="/home/someone")
LATE = WorkerError(ErrorKind.TIMEOUT, "The answer took too long.", detail="/home/someone")
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


async def chunks_of(response: ClientResponse) -> list[Any]:
    """The chunks of a stream that came to its end. Google's readers take nothing but `data: ` and one empty line."""
    async with asyncio.timeout(10):
        text = await response.text()
    if response.content_type == "application/json":
        chunks: list[Any] = orjson.loads(text)
        return chunks
    assert response.content_type == "text/event-stream"
    *blocks, nothing = text.split("\n\n")
    assert nothing == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [orjson.loads(block.removeprefix("data: ")) for block in blocks]


def words(chunks: list[Any]) -> str:
    return "".join(
        part["text"] for chunk in chunks if "candidates" in chunk for part in chunk["candidates"][0]["content"]["parts"]
    )


async def refused(client: Client, status: int, path: str | URL, **sent: Any) -> dict[str, Any]:
    """The error object of an answer with this status."""
    response = await client.post(path, **sent)
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
async def test_a_request_is_answered_with_a_candidate(serve: Serve, prefix: str, name: str) -> None:
    client = await serve()

    response = await client.post(URL(f"{prefix}/models/{name}:generateContent", encoded=True), json=ASK)
    body = await response.json()

    assert body["candidates"] == [
        {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP", "index": 0}
    ]
    assert body["modelVersion"] == MODEL
    assert body["usageMetadata"]["totalTokenCount"] == 5
    assert response.headers["x-claude-model"] == MODEL


async def test_the_request_becomes_the_job_of_its_key(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    await client.post(WHOLE, json=ASK)

    assert dispatcher.jobs == [ChatJob("local", MODEL, (Turn("user", (Text("hi"),)),))]


async def test_two_answers_have_different_ids(serve: Serve) -> None:
    client = await serve()

    first, second = [(await (await client.post(WHOLE, json=ASK)).json())["responseId"] for _ in range(2)]

    assert first != second


@pytest.mark.promise("gemini.stream")
@pytest.mark.parametrize(("path", "kind"), [(EVENTS, "text/event-stream"), (ARRAY, "application/json")])
async def test_a_stream_comes_as_events_or_as_an_array(serve: Serve, path: str, kind: str) -> None:
    client = await serve()

    response = await client.post(path, json=ASK)
    chunks = await chunks_of(response)

    assert response.content_type == kind
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert words(chunks) == "Hello"
    assert [("finishReason" in chunk["candidates"][0], "usageMetadata" in chunk) for chunk in chunks] == [
        *([(False, False)] * (len(chunks) - 1)),
        (True, True),
    ]
    assert len({chunk["responseId"] for chunk in chunks}) == 1


@pytest.mark.parametrize("path", [EVENTS, ARRAY])
async def test_a_word_reaches_the_caller_before_the_next_one_exists(serve: Serve, path: str) -> None:
    more = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(STARTED, WORD, more, TextDelta("lo"), FINISHED))

    async with asyncio.timeout(10):
        response = await client.post(path, json=ASK)
        before = await response.content.readuntil(b'"Hel"')
        more.set()

    assert b'"lo"' not in before
    assert b'"lo"' in await response.read()


@pytest.mark.promise("gemini.heartbeat")
@pytest.mark.parametrize("before", [(), (STARTED, WORD)], ids=["before a word", "between words"])
async def test_silent_events_are_kept_alive_by_a_chunk_that_says_nothing(serve: Serve, before: tuple[Any, ...]) -> None:
    silence = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(*before, silence, TextDelta("lo"), FINISHED)
    client = await serve(dispatcher, stream_head_seconds=0, heartbeat_seconds=0.01)

    async with asyncio.timeout(10):
        response = await client.post(EVENTS, json=ASK)
        beats = [await response.content.readuntil(b"\n\n") for _ in range(4)]
        silence.set()

    for beat in beats[-2:]:
        assert beat.startswith(b"data: {")
        assert orjson.loads(beat.removeprefix(b"data: ")) == {
            "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}]
        }
    assert words(await chunks_of(response)) == "lo"


@pytest.mark.promise("gemini.heartbeat")
@pytest.mark.parametrize("before", [(), (STARTED, WORD)], ids=["before a word", "between words"])
async def test_a_silent_array_is_kept_alive_by_white_space(serve: Serve, before: tuple[Any, ...]) -> None:
    silence = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(*before, silence, TextDelta("lo"), FINISHED)
    client = await serve(dispatcher, stream_head_seconds=0, heartbeat_seconds=0.01)

    async with asyncio.timeout(10):
        response = await client.post(ARRAY, json=ASK)
        begun = await response.content.readuntil(b"\n\n")
        silence.set()
        chunks = orjson.loads(begun + await response.read())

    assert words(chunks) == ("Hello" if before else "lo")


@pytest.mark.promise("gemini.error-after-head")
@pytest.mark.parametrize("shown", [(STARTED,), (STARTED, WORD)], ids=["before-a-word", "behind-a-word"])
@pytest.mark.parametrize("path", [EVENTS, ARRAY])
async def test_an_error_behind_the_head_is_the_last_of_a_stream_that_can_still_be_read(
    serve: Serve, path: str, shown: tuple[Any, ...]
) -> None:
    client = await serve(ScriptedDispatcher.always(*shown, LATE))

    response = await client.post(path, json=ASK)
    *before, last = await chunks_of(response)

    assert response.status == 200
    assert last.keys() == {"error"}
    assert (last["error"]["code"], last["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    assert last["error"]["message"] == "The answer took too long."
    assert not any("error" in chunk or "finishReason" in chunk["candidates"][0] for chunk in before)


@pytest.mark.promise("errors.envelope")
@pytest.mark.parametrize("path", [WHOLE, EVENTS, ARRAY])
@pytest.mark.parametrize("kind", ErrorKind)
async def test_a_job_that_fails_before_its_first_word_has_a_status_and_google_s_word_for_it(
    serve: Serve, kind: ErrorKind, path: str
) -> None:
    client = await serve(ScriptedDispatcher.always(WorkerError(kind, "It failed.", retry_after=6.2)))

    response = await client.post(path, json=ASK)
    error = (await response.json())["error"]

    assert (error["code"], "It failed." in error["message"]) == (response.status, True)
    assert error["status"] == STATUS_WORDS[response.status]
    waits = [detail["retryDelay"] for detail in error["details"] if "retryDelay" in detail]
    assert waits == (["7s"] if response.status in (429, 503) else [])
    assert response.headers.get("Retry-After") == ("7" if waits else None)


@pytest.mark.promise("models.unknown")
@pytest.mark.parametrize("prefix", ["/v1beta", "/v1", ""])
@pytest.mark.parametrize(
    "path",
    [
        "/models/nobody-knows-me:generateContent",
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
async def test_a_model_that_is_not_ours_is_a_404_however_it_is_written(serve: Serve, prefix: str, path: str) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    error = await refused(client, 404, URL(f"{prefix}{path}", encoded=True), json=ASK)

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
async def test_what_a_model_cannot_do_is_a_404_in_google_s_shape(serve: Serve, path: str) -> None:
    assert (await refused(await serve(), 404, URL(path, encoded=True), json=ASK))["status"] == "NOT_FOUND"


@pytest.mark.promise("chat.bad-body")
@pytest.mark.parametrize("path", [WHOLE, EVENTS, ARRAY, COUNT])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"contents": NaN}'])
async def test_a_body_that_is_no_json_object_is_a_400(serve: Serve, path: str, body: bytes) -> None:
    assert (await refused(await serve(), 400, path, data=body))["status"] == "INVALID_ARGUMENT"


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
async def test_a_wrong_shape_is_google_s_400_that_names_the_field(
    serve: Serve, change: dict[str, Any], field: str
) -> None:
    error = await refused(await serve(), 400, WHOLE, json={**ASK, **change})

    assert error["status"] == "INVALID_ARGUMENT"
    assert field in error["message"]
    (violations,) = [detail["fieldViolations"] for detail in error["details"] if "fieldViolations" in detail]
    assert violations[0]["field"] == field


async def test_a_response_that_answers_no_call_is_named_in_a_header(serve: Serve) -> None:
    response = {"functionResponse": {"id": "call-7", "name": "f", "response": {}}}
    contents = [*ASK["contents"], {"role": "model", "parts": [{"text": "no call"}]}, {"parts": [response]}]

    answer = await (await serve()).post(WHOLE, json={"contents": contents})

    assert answer.status == 200
    assert "the result of 'call-7' answers no call" in answer.headers["x-gateway-warnings"]


async def test_a_response_and_nothing_else_is_a_400_that_names_it(serve: Serve) -> None:
    response = {"functionResponse": {"id": "call-7", "name": "f", "response": {}}}

    error = await refused(await serve(), 400, WHOLE, json={"contents": [{"parts": [response]}]})

    assert "call-7" in error["message"]


async def test_what_is_not_honoured_is_named_in_a_header(serve: Serve) -> None:
    client = await serve()

    for path in (WHOLE, EVENTS, ARRAY):
        response = await client.post(path, json={**ASK, "generationConfig": {"seed": 7}})
        assert response.headers["x-gateway-warnings"] == "generationConfig.seed: Claude has no such parameter"


@pytest.mark.promise("gemini.count")
@pytest.mark.parametrize("sent", [ASK, {"generateContentRequest": {"model": f"models/{MODEL}", **ASK}}])
async def test_tokens_are_counted_without_a_worker(serve: Serve, sent: dict[str, Any]) -> None:
    dispatcher = ScriptedDispatcher([])
    client = await serve(dispatcher)
    longer = orjson.loads(orjson.dumps(sent).replace(b'"hi"', b'"' + b"word " * 400 + b'"'))

    few, many = [(await (await client.post(COUNT, json=body)).json())["totalTokens"] for body in (sent, longer)]

    assert 0 < few < many
    assert dispatcher.jobs == []


async def test_there_must_be_something_to_count(serve: Serve) -> None:
    assert "contents" in (await refused(await serve(), 400, COUNT, json={}))["message"]


@pytest.mark.promise("keys.headers")
@pytest.mark.parametrize("path", [WHOLE, EVENTS, ARRAY, COUNT])
async def test_the_key_may_be_in_a_header_or_in_the_query(serve: Serve, path: str) -> None:
    client = await serve(api_key=KEY)
    in_query = str(URL(path).update_query(key="the-key"))

    assert (await client.post(in_query, json=ASK)).status == 200
    for headers in ({"x-goog-api-key": "the-key"}, {"authorization": "Bearer the-key"}, {"x-api-key": "the-key"}):
        assert (await client.post(path, json=ASK, headers=headers)).status == 200
    for wrong in (path, str(URL(path).update_query(key="another"))):
        error = await refused(client, 401, wrong, json=ASK)
        assert error["status"] == "UNAUTHENTICATED"
        assert "another" not in str(error)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/auth/status", "/v1/nowhere"])
async def test_the_key_of_a_query_opens_no_path_of_another_dialect(serve: Serve, path: str) -> None:
    client = await serve(api_key=KEY)

    assert (await client.post(f"{path}?key=the-key", json={})).status == 401


@pytest.mark.promise("keys.never-logged")
@pytest.mark.parametrize(
    "path",
    [
        WHOLE,
        EVENTS,
        COUNT,
        "/v1beta/models",
        "/v1beta/models/none:generateContent",
        f"/v1beta/models/{MODEL}:nothing",
        "/v1beta/nowhere",
    ],
)
@pytest.mark.parametrize("steps", [HELLO, [STARTED, RuntimeError("inside")], [BROKE]], ids=["good", "fault", "broken"])
async def test_a_key_in_the_query_is_in_no_log_and_no_answer(
    serve: Serve, caplog: pytest.LogCaptureFixture, path: str, steps: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    client = await serve(ScriptedDispatcher.always(*steps), api_key=KEY)
    sent = str(URL(path).update_query(key="the-key"))

    answers = [await client.request(method, sent, json=ASK) for method in ("POST", "GET", "DELETE")]
    told = [(await answer.text()) + str(answer.headers) for answer in answers]

    # The gateway's own connections have no access log; those of the tests' server do.
    logged = [caplog.handler.format(record) for record in caplog.records if record.name != "aiohttp.access"]
    assert logged
    assert not any("the-key" in text for text in (*logged, *told))
