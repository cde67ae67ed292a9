"""The Gemini dialect through the real CLI, with Google's official client, under both versions of its API."""

import gc
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from google import genai
from google.genai import errors, types

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # A warning of Google's library itself.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

# A PNG of one red pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415478da63f8cfc000000301010009c9fa4bef0000000049454e44ae426082"
)


@pytest_asyncio.fixture(loop_scope="module", params=["v1", "v1beta"])
async def client(gateway: Gateway, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Yield Google's client, typed as `Any`: every field of its response types may be None."""
    options = types.HttpOptions(
        base_url=gateway.url, api_version=request.param, async_client_args={"trust_env": False}, timeout=30_000
    )
    async with genai.Client(api_key=API_KEY, http_options=options).aio as connected:
        yield connected


def read_upstream_turns(gateway: Gateway) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the conversation of the newest upstream request: role and blocks of each turn."""
    turns = []
    for message in gateway.upstream.chat_requests[-1].body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        stripped = [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]
        turns.append((message["role"], stripped))
    return turns


async def test_whole_reply_equals_the_joined_stream(client: Any) -> None:
    whole = await client.models.generate_content(model=MODEL, contents="one two three")
    chunks = [c async for c in await client.models.generate_content_stream(model=MODEL, contents="one two three")]

    assert whole.text == "".join(chunk.text or "" for chunk in chunks) == "one two three"
    assert [chunk.text for chunk in chunks] == ["one ", "two ", "three", ""]
    for last in (whole, chunks[-1]):
        assert last.candidates[0].finish_reason is types.FinishReason.STOP
        assert last.model_version == MODEL
        assert last.usage_metadata.candidates_token_count == 3


async def test_a_chat_remembers_its_streamed_turns(gateway: Gateway, client: Any) -> None:
    chat = client.chats.create(model=MODEL, config=types.GenerateContentConfig(system_instruction="Be brief."))
    async for _ in await chat.send_message_stream("first question"):
        pass
    response = await chat.send_message("second question")

    assert response.text == "second question"
    assert [(role, blocks[-1]["text"]) for role, blocks in read_upstream_turns(gateway)] == [
        ("user", "first question"),
        ("assistant", "first question"),
        ("user", "second question"),
    ]
    assert gateway.upstream.chat_requests[-1].body["system"][-1]["text"] == "Be brief."


@pytest.mark.promise("gemini.official-client")
async def test_client_library_calls_functions_by_itself(gateway: Gateway, client: Any) -> None:
    called = []

    async def weather(city: str) -> str:
        """The weather of a city."""
        called.append(city)
        return f"rain in {city}"

    prompt = 'go {{tool weather {"city":"Oslo"}}}{{tool weather {"city":"Rome"}}}'
    response = await client.models.generate_content(
        model=MODEL, contents=prompt, config=types.GenerateContentConfig(tools=[weather])
    )

    assert sorted(called) == ["Oslo", "Rome"]
    assert response.candidates[0].finish_reason is types.FinishReason.STOP
    (offered,) = gateway.upstream.chat_requests[-1].body["tools"]
    assert (offered["name"], offered["input_schema"]["properties"]) == ("weather", {"city": {"type": "string"}})
    _, calls, results = [blocks for _, blocks in read_upstream_turns(gateway)]
    ids = [block["id"] for block in calls if block["type"] == "tool_use"]
    texts = {block["tool_use_id"]: block["content"][0]["text"] for block in results}
    assert [texts[id_] for id_ in ids] == ['{"result":"rain in Oslo"}', '{"result":"rain in Rome"}']


async def test_streamed_call_with_thinking_makes_a_round_trip(gateway: Gateway, client: Any) -> None:
    schema = types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)})
    declaration = types.FunctionDeclaration(name="weather", description="of a city", parameters=schema)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declaration])],
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2_000),
    )
    question = types.UserContent('go {{think hm hm}}{{tool weather {"city":"Oslo"}}}')

    stream = await client.models.generate_content_stream(model=MODEL, contents=[question], config=config)
    contents = [chunk.candidates[0].content async for chunk in stream if chunk.candidates]
    parts = [part for content in contents if content and content.parts for part in content.parts]
    (call,) = [part.function_call for part in parts if part.function_call]
    result_part = types.Part(
        function_response=types.FunctionResponse(id=call.id, name="weather", response={"output": "rain"})
    )
    response = await client.models.generate_content(
        model=MODEL, contents=[question, *contents, types.Content(role="user", parts=[result_part])], config=config
    )

    assert "".join(part.text or "" for part in parts if part.thought) == "hm hm"
    assert call.args == {"city": "Oslo"}
    assert response.text
    assert len([request for request in gateway.upstream.chat_requests if b"think hm hm" in request.raw]) == 2
    _, (_, turn), (_, results) = read_upstream_turns(gateway)
    assert {"type": "thinking", "thinking": "hm hm", "signature": compute_thinking_signature("hm hm")} in turn
    assert [block["type"] for block in turn] == ["thinking", "text", "tool_use"]
    assert results[0]["tool_use_id"] == turn[-1]["id"]
    assert gateway.upstream.chat_requests[-1].body["thinking"]["budget_tokens"] == 2_000


async def test_a_foreign_signature_never_reaches_the_model(gateway: Gateway, client: Any) -> None:
    foreign = types.Part(text="yes", thought_signature=b"made by another provider")
    response = await client.models.generate_content(
        model=MODEL, contents=[types.UserContent("a"), types.Content(role="model", parts=[foreign]), "b"]
    )

    assert response.text == "b"
    assert read_upstream_turns(gateway)[1] == ("assistant", [{"type": "text", "text": "yes"}])


async def test_parameters_and_an_image_reach_the_model(gateway: Gateway, client: Any) -> None:
    config = types.GenerateContentConfig(
        temperature=0.2, top_k=40, max_output_tokens=77, stop_sequences=["ZZZ"], seed=7
    )
    image = types.Part.from_bytes(data=PIXEL, mime_type="image/png")

    response = await client.models.generate_content(model=MODEL, contents=["what is it?", image], config=config)

    body = gateway.upstream.chat_requests[-1].body
    assert (body["temperature"], body["top_k"], body["max_tokens"]) == (0.2, 40, 77)
    assert body["stop_sequences"] == ["ZZZ"]
    assert [block["type"] for block in read_upstream_turns(gateway)[-1][1]] == ["text", "image"]
    assert "generationConfig.seed" in response.sdk_http_response.headers["x-gateway-warnings"]


async def test_output_limit_ends_the_reply(client: Any) -> None:
    limited = types.GenerateContentConfig(max_output_tokens=5)
    response = await client.models.generate_content(
        model=MODEL, contents="a b {{silence 0.05}}{{stop max_tokens}}", config=limited
    )

    assert response.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS


async def test_counts_tokens_and_lists_models_without_the_upstream(gateway: Gateway, client: Any) -> None:
    token_count = await client.models.count_tokens(model=MODEL, contents="word " * 400)
    models = [model.name async for model in await client.models.list()]
    model_info = await client.models.get(model=MODEL)

    assert token_count.total_tokens > 100
    assert f"models/{MODEL}" in models
    assert model_info.name == f"models/{MODEL}"
    assert not [request for request in gateway.upstream.requests if b"word word" in request.raw]


@pytest.mark.parametrize(
    ("status", "code", "word"), [(401, 503, "UNAVAILABLE"), (429, 429, "RESOURCE_EXHAUSTED"), (500, 502, "UNAVAILABLE")]
)
async def test_upstream_error_raises_the_error_class_of_the_client_library(
    client: Any, status: int, code: int, word: str
) -> None:
    with pytest.raises(errors.APIError) as caught:
        await client.models.generate_content(model=MODEL, contents=f"hi {{{{status {status}}}}}")

    assert (caught.value.code, caught.value.status) == (code, word)


@pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")
async def test_upstream_error_in_mid_stream_raises_the_error_class_of_the_client_library(client: Any) -> None:
    stream = await client.models.generate_content_stream(
        model=MODEL, contents="a b c {{think hm}}{{break 1}}{{times 1}}"
    )
    with pytest.raises(errors.APIError) as caught:
        async for _ in stream:
            pass

    assert caught.value.code == 502
    # The client leaves the connection to the garbage collector, whose warning belongs to this test.
    del caught, stream
    gc.collect()


async def test_function_response_without_a_call_is_an_error_that_names_it(client: Any) -> None:
    response = types.Part.from_function_response(name="unknown_function", response={"output": 1})
    with pytest.raises(errors.ClientError) as caught:
        await client.models.generate_content(model=MODEL, contents=[types.UserContent([response])])

    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert "unknown_function" in (caught.value.message or "")


@pytest.mark.promise("keys.never-logged")
@pytest.mark.parametrize(
    "path", [f"models/{MODEL}:generateContent", f"models/{MODEL}:streamGenerateContent", "nowhere"]
)
async def test_key_in_the_query_is_not_logged(gateway: Gateway, path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/v1beta/{path}?key={API_KEY}", json={"contents": "hi"}) as response,
    ):
        text = await response.text()

    assert response.status == (404 if path == "nowhere" else 200)
    assert API_KEY not in text
    assert caplog.records
    assert API_KEY not in caplog.text
