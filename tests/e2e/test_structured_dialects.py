"""Answers that must be JSON, asked for by the other official clients."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google import genai
from google.genai import types
from openai import BadRequestError

from tests.e2e.conftest import API_KEY, MODEL, Gateway
from tests.e2e.test_structured import ADA, FITTED, SCHEMA, Person, asked, asking

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # The client's own.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

WHO = f"who? {{{{say {ADA}}}}}"


@pytest_asyncio.fixture(loop_scope="module")
async def google(gateway: Gateway) -> AsyncIterator[Any]:
    """As `Any`: the answers of its types may lack whatever they hold."""
    options = types.HttpOptions(base_url=gateway.url, async_client_args={"trust_env": False}, timeout=30_000)
    async with genai.Client(api_key=API_KEY, http_options=options).aio as connected:
        yield connected


def schema_sent(gateway: Gateway) -> Any:
    (body,) = asked(gateway)
    return body["output_config"]["format"]["schema"]


async def test_responses_parses_what_the_model_was_held_to(gateway: Gateway) -> None:
    answer = await gateway.client.responses.parse(model=MODEL, input=WHO, text_format=Person)

    assert answer.output_parsed == Person.model_validate_json(ADA)
    assert schema_sent(gateway)["properties"]["home"] == {"$ref": "#/$defs/Street"}


async def test_responses_parses_a_stream(gateway: Gateway) -> None:
    async with gateway.client.responses.stream(model=MODEL, input=WHO, text_format=Person) as stream:
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        answer = await stream.get_final_response()

    assert len(deltas) > 1
    assert answer.output_parsed == Person.model_validate_json(ADA)


async def test_a_response_in_the_background_is_checked_too(gateway: Gateway) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "age", "schema": SCHEMA}}
    question = asking("no")["content"]
    made = await gateway.client.responses.create(model=MODEL, input=question, text=text, background=True)
    async for _ in await gateway.client.responses.retrieve(made.id, stream=True):
        pass

    answer = await gateway.client.responses.retrieve(made.id)

    assert answer.status == "failed"
    assert "not the JSON" in str(answer.error)


async def test_a_wrong_response_is_asked_for_once_more_and_a_bad_schema_is_named(gateway: Gateway) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "age", "schema": SCHEMA}}
    answer = await gateway.client.responses.create(
        model=MODEL, input=asking('{"age": 0}', '{"age": 5}')["content"], text=text
    )
    broken: Any = {"format": {"type": "json_schema", "name": "age", "schema": {"type": "objekt"}}}
    with pytest.raises(BadRequestError) as raised:
        await gateway.client.responses.create(model=MODEL, input="hi", text=broken)

    assert answer.output_text == '{"age": 5}'
    assert len(asked(gateway)) == 2
    assert raised.value.param == "text.format.schema"


async def test_google_s_client_parses_its_own_kind_of_schema(gateway: Gateway, google: Any) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    answer = await google.models.generate_content(model=MODEL, contents=WHO, config=config)

    assert answer.parsed == Person.model_validate_json(ADA)
    assert schema_sent(gateway)["additionalProperties"] is False


async def test_google_s_client_sends_a_json_schema(gateway: Gateway, google: Any) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=SCHEMA)
    question = asking('{"age": 5}')["content"]
    chunks = [
        chunk
        async for chunk in await google.models.generate_content_stream(model=MODEL, contents=question, config=config)
    ]

    assert "".join(chunk.text or "" for chunk in chunks) == '{"age": 5}'
    assert schema_sent(gateway) == FITTED


async def test_json_of_any_shape_is_asked_for_in_words(gateway: Gateway, google: Any) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json")
    answer = await google.models.generate_content(
        model=MODEL, contents=asking("```json\n[1, 2]\n```")["content"], config=config
    )

    assert answer.text == "[1, 2]"
    assert "output_config" not in asked(gateway)[0]
