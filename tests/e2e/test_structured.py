"""Answers that must be JSON, through the real CLI: what the caller gets, and what the model was held to."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import orjson
import pytest
import pytest_asyncio
from anthropic import APIStatusError as AnthropicError
from openai import APIError, APIStatusError
from pydantic import BaseModel, Field

from tests.e2e.conftest import API_KEY, MODEL, Gateway

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # The guide's default model is near its end of life, says today's client.
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

OLD = "claude-opus-4-20250514"
NEW = "claude-opus-5-5"


class Street(BaseModel):
    name: str
    number: int = Field(ge=1, le=9_999)


class Person(BaseModel):
    """Somebody."""

    name: str = Field(min_length=2)
    age: int | None
    home: Street


class Tree(BaseModel):
    label: str
    children: list["Tree"]


ADA = '{"name": "Ada", "age": 36, "home": {"name": "Mill Lane", "number": 7}}'
NOBODY = '{"name": "A", "age": 36, "home": {"name": "Mill Lane", "number": 0}}'
ASKS = {"role": "user", "content": f"who? {{{{say {ADA}}}}}"}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 1}}, "required": ["age"]}
FITTED = {
    "type": "object",
    "properties": {"age": {"type": "integer", "description": 'Also: {"minimum":1}'}},
    "additionalProperties": False,
    "required": ["age"],
}


def format_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def asking(answer: str, again: str = "") -> dict[str, Any]:
    """A question to which the stand-in answers with these texts, one after the other."""
    more = f"{{{{again {again}}}}}" if again else ""
    return {"role": "user", "content": f"how old? {{{{say {answer}}}}}{more}"}


def asked(gateway: Gateway) -> list[dict[str, Any]]:
    return [request.body for request in gateway.upstream.chats]


def system_of(body: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in body["system"])


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=30, http_client=direct
    ) as connected:
        yield connected


@pytest.mark.promise("structured.native")
@pytest.mark.parametrize("model", [MODEL, NEW])
async def test_the_openai_client_parses_what_the_model_was_held_to(gateway: Gateway, model: str) -> None:
    answer = await gateway.client.chat.completions.parse(model=model, messages=[ASKS], response_format=Person)

    assert answer.choices[0].message.parsed == Person.model_validate_json(ADA)
    (body,) = asked(gateway)
    sent = body["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["properties"]["home"] == {"$ref": "#/$defs/Street"}
    assert sent["schema"]["$defs"]["Street"]["properties"]["number"]["type"] == "integer"
    assert "JSON Schema" not in system_of(body)


async def test_the_openai_client_parses_a_stream(gateway: Gateway) -> None:
    async with gateway.client.chat.completions.stream(model=MODEL, messages=[ASKS], response_format=Person) as stream:
        pieces = [event.delta async for event in stream if event.type == "content.delta"]
        answer = await stream.get_final_completion()

    assert len(pieces) > 1
    assert answer.choices[0].message.parsed == Person.model_validate_json(ADA)


@pytest.mark.parametrize("model", [OLD, MODEL])
async def test_a_schema_that_comes_back_to_itself_is_asked_for_in_words(gateway: Gateway, model: str) -> None:
    tree = '{"label": "a", "children": [{"label": "b", "children": []}]}'
    system = {"role": "system", "content": "Be brief."}
    question: Any = [system, {"role": "user", "content": f"grow {{{{say {tree}}}}}"}]

    answer = await gateway.client.chat.completions.parse(model=model, messages=question, response_format=Tree)

    assert answer.choices[0].message.parsed == Tree.model_validate_json(tree)
    (body,) = asked(gateway)
    assert "output_config" not in body
    assert "Be brief." in system_of(body)
    assert orjson.dumps(Tree.model_json_schema()["$defs"]["Tree"]["required"]).decode() in system_of(body)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_anthropic_client_parses_too(
    gateway: Gateway, client: anthropic.AsyncAnthropic, stream: bool
) -> None:
    question: Any = [ASKS]
    if stream:
        async with client.messages.stream(
            model=MODEL, max_tokens=500, messages=question, output_format=Person
        ) as streamed:
            answer: Any = await streamed.get_final_message()
    else:
        answer = await client.messages.parse(model=MODEL, max_tokens=500, messages=question, output_format=Person)

    assert answer.parsed_output == Person.model_validate_json(ADA)
    (body,) = asked(gateway)
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False


async def test_effort_and_format_go_together(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    config: Any = {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    await client.messages.create(
        model=NEW,
        max_tokens=500,
        messages=[asking('{"age": 5}')],
        output_config=config,  # type: ignore[list-item]
    )

    assert asked(gateway)[0]["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": FITTED}}


async def test_a_schema_goes_with_every_other_parameter(gateway: Gateway) -> None:
    parameters: Any = {"temperature": 0.3, "stop": "END", "max_tokens": 99, "extra_body": {"top_k": 5}}
    await gateway.ask(asking('{"age": 5}'), response_format=format_of(SCHEMA), **parameters)

    (body,) = asked(gateway)
    assert (body["temperature"], body["stop_sequences"], body["max_tokens"], body["top_k"]) == (0.3, ["END"], 99, 5)
    assert body["output_config"]["format"]["schema"] == FITTED


@pytest.mark.promise("structured.gone-for-the-next-job")
@pytest.mark.parametrize("model", [MODEL, OLD])
async def test_nothing_of_a_schema_is_left_for_the_next_job(gateway: Gateway, model: str) -> None:
    for _ in range(2):
        await gateway.ask(asking('{"age": 5}'), model=model, response_format=format_of(SCHEMA))
    gateway.upstream.forget()

    # A model that takes no schema is asked for too: not even the check of its name may carry one.
    for next_model in (model, OLD, MODEL, model):
        await gateway.ask("hello", model=next_model)

    assert not any("output_config" in request.body for request in gateway.upstream.received)
    for body in asked(gateway):
        assert "JSON" not in system_of(body)


@pytest.mark.promise("structured.checked")
async def test_a_wrong_answer_is_asked_for_once_more(gateway: Gateway) -> None:
    answer = await gateway.ask(asking('{"age": 0}', '{"age": 5}'), response_format=format_of(SCHEMA))

    assert answer.choices[0].message.content == '{"age": 5}'
    first, second = asked(gateway)
    assert second["messages"][-2]["role"] == "assistant"
    assert '{"age": 0}' in str(second["messages"][-2]["content"])
    assert "$.age: 0 is less than the minimum of 1" in str(second["messages"][-1]["content"])
    assert second["output_config"] == first["output_config"]
    assert answer.usage.completion_tokens == 4


@pytest.mark.promise("structured.checked")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [MODEL, OLD])
async def test_an_answer_that_stays_wrong_is_an_error(gateway: Gateway, model: str, stream: bool) -> None:
    with pytest.raises(APIError) as raised:
        await gateway.stream_text(asking("no", "no"), model=model, response_format=format_of(SCHEMA)) if stream else (
            await gateway.ask(asking("no", "no"), model=model, response_format=format_of(SCHEMA))
        )

    assert raised.value.code == "invalid_json_output"
    assert len(asked(gateway)) == (1 if stream and model == MODEL else 2)


async def test_what_is_asked_for_in_words_comes_without_its_fence_streamed_or_not(gateway: Gateway) -> None:
    fenced = asking('```json\n{"age": 5}\n```')
    parameters: Any = {"model": OLD, "response_format": {"type": "json_object"}}

    assert (await gateway.ask(fenced, **parameters)).choices[0].message.content == '{"age": 5}'
    assert await gateway.stream_text(fenced, **parameters) == '{"age": 5}'
    assert all("one JSON object" in system_of(body) for body in asked(gateway))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_schema_that_the_upstream_finds_too_large_is_asked_for_in_words(gateway: Gateway, stream: bool) -> None:
    names = [f"{'x' * 200}{number}" for number in range(60)]
    large = {"type": "object", "properties": {name: {"type": "null"} for name in names}, "required": names}
    answer = orjson.dumps(dict.fromkeys(names)).decode()

    if stream:
        text = await gateway.stream_text(asking(answer), response_format=format_of(large))
    else:
        text = (await gateway.ask(asking(answer), response_format=format_of(large))).choices[0].message.content

    assert text == answer
    *refused, taken = asked(gateway)  # the CLI itself tries a 400 once more, with fewer betas
    assert refused
    assert all("output_config" in body for body in refused)
    assert "output_config" not in taken


@pytest.mark.promise("structured.bad-schema")
async def test_a_schema_that_is_none_is_a_400_that_names_it(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    broken = {"type": "objekt"}
    config: Any = {"format": {"type": "json_schema", "schema": broken}}
    question: Any = [{"role": "user", "content": "hi"}]
    with pytest.raises(APIStatusError) as raised:
        await gateway.ask("hi", response_format=format_of(broken), stream=True)
    with pytest.raises(AnthropicError) as also:
        await client.messages.create(model=MODEL, max_tokens=9, messages=question, output_config=config)

    assert raised.value.status_code == also.value.status_code == 400
    assert raised.value.param == "response_format.json_schema.schema"
    assert also.value.body["error"]["message"].startswith("output_config.format.schema: ")  # type: ignore[index,call-overload]
    assert asked(gateway) == []


@pytest.mark.parametrize("model", [MODEL, OLD])
async def test_a_call_or_a_cut_answer_need_not_be_json(gateway: Gateway, model: str) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    parameters: Any = {"model": model, "response_format": format_of(SCHEMA)}

    called = await gateway.ask("let me see {{tool look}}", tools=[tool], **parameters)
    cut = await gateway.ask("so {{silence 0.05}}{{stop max_tokens}}", max_tokens=5, **parameters)

    assert (called.choices[0].finish_reason, called.choices[0].message.content) == ("tool_calls", "let me see")
    assert (cut.choices[0].finish_reason, cut.choices[0].message.content) == ("length", "so")


async def test_a_session_remembers_the_answer_that_its_caller_got(gateway: Gateway) -> None:
    parameters: Any = {"response_format": format_of(SCHEMA), "extra_body": {"session_id": "json"}}
    with pytest.raises(APIError):
        await gateway.ask(asking("no", "no"), **parameters)
    await gateway.ask(asking('{"age": 0}', '{"age": 5}'), **parameters)

    await gateway.ask(asking('{"age": 6}'), **parameters)

    messages = asked(gateway)[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"][0]["text"] == '{"age": 5}'
