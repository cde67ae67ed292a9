"""Bodies of few bytes that would cost much to read: refused before they are read any further."""

import io
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.dialects.gemini.wire import CountTokensRequest, GenerateContentRequest
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from tests.claude_gateway.scripted import CHAT, HELLO, MODEL, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve

SIZE = 10 * 1024 * 1024
HEAD = orjson.dumps(CHAT)[:-1]
MANY = 400_000


def fields(count: int) -> bytes:
    return b",".join(b'"a%d":0' % number for number in range(count))


BOMBS = {
    "numbers": HEAD + b',"stop":[' + b"0," * MANY + b"0]}",
    "texts": HEAD + b',"stop":[' + b'"\\"",' * MANY + b"0]}",
    "objects": HEAD + b',"tools":[' + b"{}," * MANY + b"0]}",
    "fields": HEAD + b"," + fields(20_000) + b"}",
    "fields inside": HEAD + b',"tools":[{"a":{' + fields(20_000) + b"}}]}",
    "no end of a text": HEAD + b"," * MANY + b',"\\' + b'"\\' * MANY,
}


@pytest.mark.promise("limits.values")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/compatibility", "/v1/debug/request"])
@pytest.mark.parametrize("name", BOMBS)
async def test_a_body_of_too_many_values_is_refused_however_few_bytes_they_are(
    serve: Serve, path: str, name: str
) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, max_request_size=SIZE)

    answer = await client.post(path, data=io.BytesIO(BOMBS[name]))

    assert (answer.status, (await answer.json())["error"]["code"]) == (413, "request_too_large")
    assert dispatcher.jobs == []


@pytest.mark.parametrize("field", ["metadata", "tools", "conversation", "prompt", "unheard_of"])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}"), ('{"type":"namespace","name":"a","tools":[', "]}")])
async def test_a_body_that_is_nested_too_deep_is_a_400(serve: Serve, field: str, pair: tuple[str, str]) -> None:
    client = await serve()
    opening, closing = pair
    for depth in (230, 300, 500):
        deep = f"[{opening * depth}1{closing * depth}]" if field == "tools" else opening * depth + "1" + closing * depth
        sent = f'{{"model": "{MODEL}", "input": "hi", "store": false, "{field}": {deep}}}'
        answer = await client.post("/v1/responses", data=sent.encode())
        assert answer.status in ((200, 400, 422) if depth < 240 else (400,)), await answer.text()


@pytest.mark.parametrize("text", ["1,2,", '"a":0,', '\\",', ",\\\\"])
async def test_what_stands_in_a_text_is_no_value(serve: Serve, text: str) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher, max_request_size=SIZE)
    sent = {**CHAT, "messages": [{"role": "user", "content": text * MANY}]}

    answer = await client.post("/v1/chat/completions", data=io.BytesIO(orjson.dumps(sent)))

    assert answer.status == 200
    assert dispatcher.jobs[0].turns[0].blocks[0].text == text * MANY  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "model", [ChatRequest, MessagesRequest, ResponsesRequest, GenerateContentRequest, CountTokensRequest]
)
def test_no_list_of_a_request_is_without_an_end(model: type[BaseModel]) -> None:
    """Each wrong item of one is an error of its own, and a megabyte holds half a million."""
    endless = [place for place, shape in lists(model.model_json_schema()) if "maxItems" not in shape]

    assert endless == [], "give it a `max_length`, and `fail_fast` where its items have a shape"


def test_a_list_of_wrong_items_is_told_of_once() -> None:
    wrong = {**CHAT, "stop": [0] * 900, "tools": None, "messages": [0] * 900}

    with pytest.raises(ValidationError) as told:
        ChatRequest.model_validate(wrong)

    assert told.value.error_count() < 5


def lists(schema: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "array":
            yield place, schema
        for name, part in schema.items():
            yield from lists(part, f"{place}.{name}")
    elif isinstance(schema, list):
        for part in schema:
            yield from lists(part, place)
