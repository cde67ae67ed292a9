"""Replies that must be JSON, requested by the other official clients."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google import genai
from google.genai import types
from openai import BadRequestError

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
    # A warning of Google's library itself.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

WHO = f"who? {{{{say {PERSON_JSON}}}}}"


@pytest_asyncio.fixture(loop_scope="module")
async def google_client(gateway: Gateway) -> AsyncIterator[Any]:
    """Yield Google's client, typed as `Any`: every field of its response types may be None."""
    options = types.HttpOptions(base_url=gateway.url, async_client_args={"trust_env": False}, timeout=30_000)
    async with genai.Client(api_key=API_KEY, http_options=options).aio as connected:
        yield connected


def read_upstream_schema(gateway: Gateway) -> Any:
    (body,) = read_request_bodies(gateway)
    return body["output_config"]["format"]["schema"]


async def test_responses_client_parses_the_enforced_schema(gateway: Gateway) -> None:
    response = await gateway.client.responses.parse(model=MODEL, input=WHO, text_format=Person)

    assert response.output_parsed == Person.model_validate_json(PERSON_JSON)
    assert read_upstream_schema(gateway)["properties"]["home"] == {"$ref": "#/$defs/Street"}


async def test_responses_client_parses_a_stream(gateway: Gateway) -> None:
    async with gateway.client.responses.stream(model=MODEL, input=WHO, text_format=Person) as stream:
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        response = await stream.get_final_response()

    assert len(deltas) > 1
    assert response.output_parsed == Person.model_validate_json(PERSON_JSON)


async def test_background_response_is_validated(gateway: Gateway) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "age", "schema": SCHEMA}}
    question = build_question("no")["content"]
    created = await gateway.client.responses.create(model=MODEL, input=question, text=text, background=True)
    async for _ in await gateway.client.responses.retrieve(created.id, stream=True):
        pass

    response = await gateway.client.responses.retrieve(created.id)

    assert response.status == "failed"
    assert "not the requested JSON" in str(response.error)


async def test_invalid_response_is_requested_once_more_and_an_invalid_schema_is_named(gateway: Gateway) -> None:
    text: Any = {"format": {"type": "json_schema", "name": "age", "schema": SCHEMA}}
    response = await gateway.client.responses.create(
        model=MODEL, input=build_question('{"age": 0}', '{"age": 5}')["content"], text=text
    )
    broken: Any = {"format": {"type": "json_schema", "name": "age", "schema": {"type": "objekt"}}}
    with pytest.raises(BadRequestError) as raised:
        await gateway.client.responses.create(model=MODEL, input="hi", text=broken)

    assert response.output_text == '{"age": 5}'
    assert len(read_request_bodies(gateway)) == 2
    assert raised.value.param == "text.format.schema"


async def test_google_client_parses_its_own_schema_format(gateway: Gateway, google_client: Any) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    response = await google_client.models.generate_content(model=MODEL, contents=WHO, config=config)

    assert response.parsed == Person.model_validate_json(PERSON_JSON)
    assert read_upstream_schema(gateway)["additionalProperties"] is False


async def test_google_client_sends_a_json_schema(gateway: Gateway, google_client: Any) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=SCHEMA)
    question = build_question('{"age": 5}')["content"]
    chunks = [
        chunk
        async for chunk in await google_client.models.generate_content_stream(
            model=MODEL, contents=question, config=config
        )
    ]

    assert "".join(chunk.text or "" for chunk in chunks) == '{"age": 5}'
    assert read_upstream_schema(gateway) == NATIVE_SCHEMA


async def test_json_without_a_schema_is_requested_in_the_prompt(gateway: Gateway, google_client: Any) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json")
    response = await google_client.models.generate_content(
        model=MODEL, contents=build_question("```json\n[1, 2]\n```")["content"], config=config
    )

    assert response.text == "[1, 2]"
    assert "output_config" not in read_request_bodies(gateway)[0]
