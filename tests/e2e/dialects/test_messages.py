"""The Messages dialect through the real CLI, with the official client and byte for byte."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anthropic
import orjson
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY
from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway
from tests.e2e.helpers.upstream_requests import read_last_messages, text_block

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # The client warns that the guide's default model is near its end of life.
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

# A PNG of one red pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=100, http_client=direct
    ) as connected:
        yield connected


async def test_whole_message_equals_the_joined_stream(client: anthropic.AsyncAnthropic) -> None:
    question: Any = [{"role": "user", "content": "one two three"}]
    whole = await client.messages.create(model=MODEL, max_tokens=100, messages=question)
    async with client.messages.stream(model=MODEL, max_tokens=100, messages=question) as stream:
        pieces = [piece async for piece in stream.text_stream]
        streamed = await stream.get_final_message()
    assert pieces == ["one ", "two ", "three"]
    for message in (whole, streamed):
        assert (message.type, message.role, message.model, message.stop_reason) == (
            *("message", "assistant", MODEL, "end_turn"),
        )
        assert [(block.type, block.text) for block in message.content] == [("text", "one two three")]
        assert message.usage.output_tokens == 3


@pytest.mark.promise("messages.stream-grammar")
async def test_stream_events_come_in_their_documented_order(gateway: Gateway) -> None:
    body = {
        "model": MODEL,
        "max_tokens": 5000,
        "stream": True,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": "yes {{think hm}}"}],
    }
    async with (
        aiohttp.ClientSession(headers={"x-api-key": API_KEY, "anthropic-version": "2023-06-01"}) as session,
        session.post(f"{gateway.url}/v1/messages?beta=true", json=body) as response,
    ):
        raw = await response.text()
    events = [block.split("\n") for block in raw.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    datas = [orjson.loads(lines[1].removeprefix("data: ")) for lines in events]
    assert names == [
        *("message_start", "ping"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert [data["type"] for data in datas] == names
    assert [data["index"] for data in datas if "index" in data] == [0, 0, 0, 0, 1, 1, 1]
    assert datas[4]["delta"] == {"type": "signature_delta", "signature": compute_thinking_signature("hm")}


@pytest.mark.promise("messages.blocks-unchanged")
async def test_every_block_reaches_the_model_unchanged(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    thinking = {"type": "thinking", "thinking": "hm", "signature": compute_thinking_signature("hm")}
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text_block("rain")], "is_error": True}
    messages: Any = [
        {"role": "user", "content": [image, text_block("what is this?")]},
        {"role": "assistant", "content": [thinking, call]},
        {"role": "user", "content": [result, text_block("go on")]},
    ]
    await client.messages.create(
        model=MODEL, max_tokens=9000, messages=messages, thinking={"type": "enabled", "budget_tokens": 2000}
    )
    assert read_last_messages(gateway) == messages
    assert gateway.upstream.chat_requests[-1].body["thinking"]["budget_tokens"] == 2000


async def test_system_entry_among_the_messages_keeps_its_position(
    gateway: Gateway, client: anthropic.AsyncAnthropic
) -> None:
    messages: Any = [
        {"role": "user", "content": "hello"},
        {"role": "system", "content": "be quick"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "go"},
        {"role": "system", "content": [{"type": "text", "text": "last", "cache_control": {"type": "ephemeral"}}]},
    ]
    await client.messages.create(model=MODEL, max_tokens=100, messages=messages)
    assert read_last_messages(gateway) == [
        {
            "role": "user",
            "content": [text_block("hello"), text_block("<system-reminder>\nbe quick\n</system-reminder>")],
        },
        {"role": "assistant", "content": [text_block("hi")]},
        {"role": "user", "content": [text_block("go"), text_block("<system-reminder>\nlast\n</system-reminder>")]},
    ]


async def test_billing_block_of_another_program_is_removed_from_the_system_prompt(
    gateway: Gateway, client: anthropic.AsyncAnthropic
) -> None:
    system: Any = [
        text_block("x-anthropic-billing-header: cc_version=1;"),
        text_block("Rule one."),
        text_block("Rule two."),
    ]
    question: Any = [{"role": "user", "content": "hi"}]
    await client.messages.create(model=MODEL, max_tokens=100, system=system, messages=question)
    blocks = [block["text"] for block in gateway.upstream.chat_requests[-1].body["system"]]
    assert blocks == ["Rule one.\n\nRule two."]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]}], "toolu_1"),
        ([{"role": "assistant", "content": "alone"}], "user"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages.0.content.0"),
        ([{"role": "user", "content": [{"text": "no type"}]}], "messages.0.content.0"),
        (
            [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "text/html"}}]}],
            "messages.0.content.0.source",
        ),
    ],
    ids=["result without a call", "no user", "half a block", "no type", "invalid image"],
)
async def test_invalid_request_is_named_in_the_anthropic_error_format(
    client: anthropic.AsyncAnthropic, messages: Any, expected: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        await client.messages.create(model=MODEL, max_tokens=100, messages=messages)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert body["request_id"]
    assert expected in body["error"]["message"]


@pytest.mark.parametrize(
    ("status", "kind", "type_"),
    [
        (401, anthropic.InternalServerError, "authentication_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
        (500, anthropic.InternalServerError, "api_error"),
    ],
)
async def test_upstream_error_has_the_anthropic_error_format(
    client: anthropic.AsyncAnthropic, status: int, kind: type[anthropic.APIStatusError], type_: str
) -> None:
    question: Any = [{"role": "user", "content": f"hi {{{{status {status}}}}}"}]
    with pytest.raises(kind) as caught:
        await client.messages.create(model=MODEL, max_tokens=100, messages=question)
    assert caught.value.body["error"]["type"] == type_  # type: ignore[index]


async def test_many_token_counts_are_answered_at_once(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    question: Any = [{"role": "user", "content": "word " * 400}]
    token_count = await client.messages.count_tokens(model=MODEL, messages=question)
    whole = await client.messages.create(model=MODEL, max_tokens=10, messages=question)
    assert 0 < token_count.input_tokens <= whole.usage.input_tokens
    assert len(gateway.upstream.chat_requests) == 1


async def test_models_are_listed_in_the_anthropic_format(client: anthropic.AsyncAnthropic) -> None:
    models = [model async for model in client.models.list()]
    assert MODEL in [model.id for model in models]
    assert (await client.models.retrieve(MODEL)).type == "model"


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        (MODEL, {"type": "enabled", "budget_tokens": 2_000}),
        (MODEL, {"type": "enabled", "budget_tokens": 2_000, "display": "omitted"}),
        ("claude-opus-5-5", {"type": "adaptive"}),
        ("claude-opus-5-5", {"type": "adaptive", "display": "summarized"}),
    ],
    ids=str,
)
async def test_client_chooses_how_much_thinking_is_displayed(
    gateway: Gateway, client: anthropic.AsyncAnthropic, model: str, thinking: Any
) -> None:
    question: Any = [{"role": "user", "content": "hi"}]
    await client.messages.create(model=model, max_tokens=9_000, messages=question, thinking=thinking)
    assert gateway.upstream.chat_requests[-1].body["thinking"] == thinking


async def test_token_count_equals_the_upstream_count_without_a_request(
    gateway: Gateway, client: anthropic.AsyncAnthropic
) -> None:
    tool = {"name": "weather", "description": "about weather", "input_schema": {"type": "object", "properties": {}}}
    parameters: Any = {
        "model": MODEL,
        "system": [text_block("Be brief. " * 40)],
        "tools": [tool],
        "messages": [{"role": "user", "content": "How is the weather today? " * 50}],
    }
    token_count = await client.messages.count_tokens(**parameters)
    assert gateway.upstream.requests == []
    direct = client.copy(base_url=gateway.upstream.url, api_key=FAKE_API_KEY)
    upstream = await direct.messages.count_tokens(**parameters)
    assert token_count.input_tokens == pytest.approx(upstream.input_tokens, rel=0.1)
