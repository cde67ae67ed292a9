"""Replies that must be JSON, through the real CLI: the reply to the client, and the schema in the upstream request."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import orjson
import pytest
import pytest_asyncio
from anthropic import APIStatusError as AnthropicError
from openai import APIError, APIStatusError
from pydantic import BaseModel

from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway
from tests.e2e.helpers.structured_output import (
    NATIVE_SCHEMA,
    PERSON_JSON,
    SCHEMA,
    Person,
    build_question,
    read_request_bodies,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # The client warns that the guide's default model is near its end of life.
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

OLD = "claude-opus-4-20250514"
NEW = "claude-opus-5-5"


class Tree(BaseModel):
    label: str
    children: list["Tree"]


INVALID_PERSON_JSON = '{"name": "A", "age": 36, "home": {"name": "Mill Lane", "number": 0}}'
PERSON_QUESTION = {"role": "user", "content": f"who? {{{{say {PERSON_JSON}}}}}"}


def build_response_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def read_system_prompt(body: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in body["system"])


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=100, http_client=direct
    ) as connected:
        yield connected


@pytest.mark.promise("structured.native")
@pytest.mark.parametrize("model", [MODEL, NEW])
async def test_openai_client_parses_the_enforced_schema(gateway: Gateway, model: str) -> None:
    completion = await gateway.client.chat.completions.parse(
        model=model, messages=[PERSON_QUESTION], response_format=Person
    )

    assert completion.choices[0].message.parsed == Person.model_validate_json(PERSON_JSON)
    (body,) = read_request_bodies(gateway)
    output_format = body["output_config"]["format"]
    assert output_format["type"] == "json_schema"
    assert output_format["schema"]["additionalProperties"] is False
    assert output_format["schema"]["properties"]["home"] == {"$ref": "#/$defs/Street"}
    assert output_format["schema"]["$defs"]["Street"]["properties"]["number"]["type"] == "integer"
    assert "JSON Schema" not in read_system_prompt(body)


async def test_the_openai_client_parses_a_stream(gateway: Gateway) -> None:
    async with gateway.client.chat.completions.stream(
        model=MODEL, messages=[PERSON_QUESTION], response_format=Person
    ) as stream:
        pieces = [event.delta async for event in stream if event.type == "content.delta"]
        completion = await stream.get_final_completion()

    assert len(pieces) > 1
    assert completion.choices[0].message.parsed == Person.model_validate_json(PERSON_JSON)


@pytest.mark.parametrize("model", [OLD, MODEL])
async def test_recursive_schema_is_requested_in_the_prompt(gateway: Gateway, model: str) -> None:
    tree = '{"label": "a", "children": [{"label": "b", "children": []}]}'
    system = {"role": "system", "content": "Be brief."}
    question: Any = [system, {"role": "user", "content": f"grow {{{{say {tree}}}}}"}]

    completion = await gateway.client.chat.completions.parse(model=model, messages=question, response_format=Tree)

    assert completion.choices[0].message.parsed == Tree.model_validate_json(tree)
    (body,) = read_request_bodies(gateway)
    assert "output_config" not in body
    assert "Be brief." in read_system_prompt(body)
    assert orjson.dumps(Tree.model_json_schema()["$defs"]["Tree"]["required"]).decode() in read_system_prompt(body)


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_client_parses_the_enforced_schema(
    gateway: Gateway, client: anthropic.AsyncAnthropic, stream: bool
) -> None:
    question: Any = [PERSON_QUESTION]
    if stream:
        async with client.messages.stream(
            model=MODEL, max_tokens=500, messages=question, output_format=Person
        ) as streamed:
            completion: Any = await streamed.get_final_message()
    else:
        completion = await client.messages.parse(model=MODEL, max_tokens=500, messages=question, output_format=Person)

    assert completion.parsed_output == Person.model_validate_json(PERSON_JSON)
    (body,) = read_request_bodies(gateway)
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False


async def test_effort_and_output_format_can_be_combined(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    config: Any = {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    await client.messages.create(
        model=NEW,
        max_tokens=500,
        messages=[build_question('{"age": 5}')],
        output_config=config,  # type: ignore[list-item]
    )

    assert read_request_bodies(gateway)[0]["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": NATIVE_SCHEMA},
    }


async def test_schema_can_be_combined_with_every_other_parameter(gateway: Gateway) -> None:
    parameters: Any = {"temperature": 0.3, "stop": "END", "max_tokens": 99, "extra_body": {"top_k": 5}}
    await gateway.ask(build_question('{"age": 5}'), response_format=build_response_format(SCHEMA), **parameters)

    (body,) = read_request_bodies(gateway)
    assert (body["temperature"], body["stop_sequences"], body["max_tokens"], body["top_k"]) == (0.3, ["END"], 99, 5)
    assert body["output_config"]["format"]["schema"] == NATIVE_SCHEMA


@pytest.mark.promise("structured.no-effect-on-the-next-job")
@pytest.mark.parametrize("model", [MODEL, OLD])
async def test_schema_does_not_reach_the_next_job(gateway: Gateway, model: str) -> None:
    for _ in range(2):
        await gateway.ask(build_question('{"age": 5}'), model=model, response_format=build_response_format(SCHEMA))
    gateway.upstream.clear()

    # The list includes a model without schema support: even the probe of its name must not carry a schema.
    for next_model in (model, OLD, MODEL, model):
        await gateway.ask("hello", model=next_model)

    assert not any("output_config" in request.body for request in gateway.upstream.requests)
    for body in read_request_bodies(gateway):
        assert "JSON" not in read_system_prompt(body)


@pytest.mark.promise("structured.checked")
async def test_invalid_reply_is_requested_once_more(gateway: Gateway) -> None:
    completion = await gateway.ask(
        build_question('{"age": 0}', '{"age": 5}'), response_format=build_response_format(SCHEMA)
    )

    assert completion.choices[0].message.content == '{"age": 5}'
    first, second = read_request_bodies(gateway)
    assert second["messages"][-2]["role"] == "assistant"
    assert '{"age": 0}' in str(second["messages"][-2]["content"])
    assert "$.age: 0 is less than the minimum of 1" in str(second["messages"][-1]["content"])
    assert second["output_config"] == first["output_config"]
    assert completion.usage.completion_tokens == 4


@pytest.mark.promise("structured.checked")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [MODEL, OLD])
async def test_reply_that_stays_invalid_is_an_error(gateway: Gateway, model: str, stream: bool) -> None:
    with pytest.raises(APIError) as raised:
        await gateway.stream_text(
            build_question("no", "no"), model=model, response_format=build_response_format(SCHEMA)
        ) if stream else (
            await gateway.ask(build_question("no", "no"), model=model, response_format=build_response_format(SCHEMA))
        )

    assert raised.value.code == "invalid_json_output"
    assert len(read_request_bodies(gateway)) == (1 if stream and model == MODEL else 2)


async def test_json_requested_in_the_prompt_comes_without_its_code_fence(gateway: Gateway) -> None:
    fenced = build_question('```json\n{"age": 5}\n```')
    parameters: Any = {"model": OLD, "response_format": {"type": "json_object"}}

    assert (await gateway.ask(fenced, **parameters)).choices[0].message.content == '{"age": 5}'
    assert await gateway.stream_text(fenced, **parameters) == '{"age": 5}'
    assert all("one JSON object" in read_system_prompt(body) for body in read_request_bodies(gateway))


@pytest.mark.parametrize("stream", [False, True])
async def test_schema_too_large_for_the_upstream_is_requested_in_the_prompt(gateway: Gateway, stream: bool) -> None:
    names = [f"{'x' * 200}{number}" for number in range(60)]
    large = {"type": "object", "properties": {name: {"type": "null"} for name in names}, "required": names}
    reply = orjson.dumps(dict.fromkeys(names)).decode()

    if stream:
        text = await gateway.stream_text(build_question(reply), response_format=build_response_format(large))
    else:
        text = (
            (await gateway.ask(build_question(reply), response_format=build_response_format(large)))
            .choices[0]
            .message.content
        )

    assert text == reply
    # The CLI itself repeats a request after a 400, with fewer betas.
    *rejected, accepted = read_request_bodies(gateway)
    assert rejected
    assert all("output_config" in body for body in rejected)
    assert "output_config" not in accepted


@pytest.mark.promise("structured.bad-schema")
async def test_invalid_schema_is_a_400_that_names_it(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    broken = {"type": "objekt"}
    config: Any = {"format": {"type": "json_schema", "schema": broken}}
    question: Any = [{"role": "user", "content": "hi"}]
    with pytest.raises(APIStatusError) as raised:
        await gateway.ask("hi", response_format=build_response_format(broken), stream=True)
    with pytest.raises(AnthropicError) as messages_error:
        await client.messages.create(model=MODEL, max_tokens=9, messages=question, output_config=config)

    assert raised.value.status_code == messages_error.value.status_code == 400
    assert raised.value.param == "response_format.json_schema.schema"
    assert messages_error.value.body["error"]["message"].startswith("output_config.format.schema: ")  # type: ignore[index,call-overload]
    assert read_request_bodies(gateway) == []


@pytest.mark.parametrize("model", [MODEL, OLD])
async def test_tool_call_or_truncated_reply_need_not_be_json(gateway: Gateway, model: str) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    parameters: Any = {"model": model, "response_format": build_response_format(SCHEMA)}

    completion_with_call = await gateway.ask("let me see {{tool look}}", tools=[tool], **parameters)
    truncated_completion = await gateway.ask("so {{silence 0.05}}{{stop max_tokens}}", max_tokens=5, **parameters)

    assert (completion_with_call.choices[0].finish_reason, completion_with_call.choices[0].message.content) == (
        "tool_calls",
        "let me see",
    )
    assert (truncated_completion.choices[0].finish_reason, truncated_completion.choices[0].message.content) == (
        "length",
        "so",
    )


async def test_session_stores_the_reply_that_its_client_received(gateway: Gateway) -> None:
    parameters: Any = {"response_format": build_response_format(SCHEMA), "extra_body": {"session_id": "json"}}
    with pytest.raises(APIError):
        await gateway.ask(build_question("no", "no"), **parameters)
    await gateway.ask(build_question('{"age": 0}', '{"age": 5}'), **parameters)

    await gateway.ask(build_question('{"age": 6}'), **parameters)

    messages = read_request_bodies(gateway)[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"][0]["text"] == '{"age": 5}'
