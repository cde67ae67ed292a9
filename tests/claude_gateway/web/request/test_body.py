"""Bodies with few bytes that are costly to parse: the gateway rejects them before it parses them."""

import io
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.dialects.gemini.schema import CountTokensRequest, GenerateContentRequest
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve

MAX_REQUEST_BYTES = 10 * 1024 * 1024
HEAD = orjson.dumps(CHAT_BODY)[:-1]
VALUE_COUNT = 400_000


def fields(count: int) -> bytes:
    return b",".join(b'"a%d":0' % number for number in range(count))


COSTLY_BODIES = {
    "numbers": HEAD + b',"stop":[' + b"0," * VALUE_COUNT + b"0]}",
    "texts": HEAD + b',"stop":[' + b'"\\"",' * VALUE_COUNT + b"0]}",
    "objects": HEAD + b',"tools":[' + b"{}," * VALUE_COUNT + b"0]}",
    "fields": HEAD + b"," + fields(20_000) + b"}",
    "fields inside": HEAD + b',"tools":[{"a":{' + fields(20_000) + b"}}]}",
    "an unterminated string": HEAD + b"," * VALUE_COUNT + b',"\\' + b'"\\' * VALUE_COUNT,
}


@pytest.mark.promise("limits.values")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/compatibility", "/v1/debug/request"])
@pytest.mark.parametrize("name", COSTLY_BODIES)
async def test_rejects_body_of_too_many_values(serve: Serve, path: str, name: str) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, max_request_size=MAX_REQUEST_BYTES)

    response = await client.post(path, data=io.BytesIO(COSTLY_BODIES[name]))

    assert (response.status, (await response.json())["error"]["code"]) == (413, "request_too_large")
    assert worker_source.jobs == []


@pytest.mark.parametrize("field", ["metadata", "tools", "conversation", "prompt", "unheard_of"])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}"), ('{"type":"namespace","name":"a","tools":[', "]}")])
async def test_rejects_too_deeply_nested_body_with_400(serve: Serve, field: str, pair: tuple[str, str]) -> None:
    client = await serve()
    opening, closing = pair
    for depth in (230, 300, 500):
        value = (
            f"[{opening * depth}1{closing * depth}]" if field == "tools" else opening * depth + "1" + closing * depth
        )
        body = f'{{"model": "{MODEL}", "input": "hi", "store": false, "{field}": {value}}}'
        response = await client.post("/v1/responses", data=body.encode())
        assert response.status in ((200, 400, 422) if depth < 240 else (400,)), await response.text()


@pytest.mark.parametrize("text", ["1,2,", '"a":0,', '\\",', ",\\\\"])
async def test_commas_in_strings_are_not_values(serve: Serve, text: str) -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(worker_source, max_request_size=MAX_REQUEST_BYTES)
    body = {**CHAT_BODY, "messages": [{"role": "user", "content": text * VALUE_COUNT}]}

    response = await client.post("/v1/chat/completions", data=io.BytesIO(orjson.dumps(body)))

    assert response.status == 200
    assert worker_source.jobs[0].turns[0].blocks[0].text == text * VALUE_COUNT  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "model", [ChatRequest, MessagesRequest, ResponsesRequest, GenerateContentRequest, CountTokensRequest]
)
def test_every_list_of_a_request_has_a_limit(model: type[BaseModel]) -> None:
    """Each wrong item of a list is an error of its own, and a megabyte has room for half a million."""
    unlimited = [path for path, list_schema in find_lists(model.model_json_schema()) if "maxItems" not in list_schema]

    assert unlimited == [], "give the list a `max_length`, and `fail_fast` if its items have a schema"


def test_reports_a_list_of_wrong_items_once() -> None:
    invalid = {**CHAT_BODY, "stop": [0] * 900, "tools": None, "messages": [0] * 900}

    with pytest.raises(ValidationError) as raised:
        ChatRequest.model_validate(invalid)

    assert raised.value.error_count() < 5


def find_lists(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "array":
            yield path, schema
        for name, part in schema.items():
            yield from find_lists(part, f"{path}.{name}")
    elif isinstance(schema, list):
        for part in schema:
            yield from find_lists(part, path)
