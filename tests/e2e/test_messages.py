"""The Messages dialect through the real CLI, with the official client and byte for byte."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anthropic
import orjson
import pytest
import pytest_asyncio

from claude_gateway.demo.thoughts import sign
from claude_gateway.demo.upstream import STAND_IN_KEY
from tests.e2e.conftest import API_KEY, MODEL, Gateway

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    # The guide's default model is near its end of life, says today's client.
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

# A picture of one red point.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
MARKS = ("<local-command-caveat>", "<command-name>/clear", "<local-command-stdout>")


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=30, http_client=direct
    ) as connected:
        yield connected


def asked(gateway: Gateway) -> list[dict[str, Any]]:
    """The conversation that the model was asked, every block, without the marks of `/clear`."""
    turns = []
    for message in gateway.upstream.chats[-1].body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        kept = [
            {name: value for name, value in block.items() if name != "cache_control"}
            for block in blocks
            if not str(block.get("text", "")).startswith(MARKS)
        ]
        turns.append({"role": message["role"], "content": kept})
    return turns


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


async def test_a_message_and_its_stream_say_the_same(client: anthropic.AsyncAnthropic) -> None:
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
async def test_the_events_come_in_their_documented_order(gateway: Gateway) -> None:
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
    assert datas[4]["delta"] == {"type": "signature_delta", "signature": sign("hm")}


@pytest.mark.promise("messages.blocks-unchanged")
async def test_every_block_reaches_the_model_as_it_was_sent(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    thought = {"type": "thinking", "thinking": "hm", "signature": sign("hm")}
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("rain")], "is_error": True}
    messages: Any = [
        {"role": "user", "content": [image, text("what is this?")]},
        {"role": "assistant", "content": [thought, call]},
        {"role": "user", "content": [result, text("go on")]},
    ]
    await client.messages.create(
        model=MODEL, max_tokens=9000, messages=messages, thinking={"type": "enabled", "budget_tokens": 2000}
    )
    assert asked(gateway) == messages
    assert gateway.upstream.chats[-1].body["thinking"]["budget_tokens"] == 2000


async def test_a_system_entry_among_the_messages_stays_where_it_stands(
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
    assert asked(gateway) == [
        {"role": "user", "content": [text("hello"), text("<system-reminder>\nbe quick\n</system-reminder>")]},
        {"role": "assistant", "content": [text("hi")]},
        {"role": "user", "content": [text("go"), text("<system-reminder>\nlast\n</system-reminder>")]},
    ]


async def test_the_system_prompt_comes_without_another_program_s_billing_mark(
    gateway: Gateway, client: anthropic.AsyncAnthropic
) -> None:
    system: Any = [text("x-anthropic-billing-header: cc_version=1;"), text("Rule one."), text("Rule two.")]
    question: Any = [{"role": "user", "content": "hi"}]
    await client.messages.create(model=MODEL, max_tokens=100, system=system, messages=question)
    blocks = [block["text"] for block in gateway.upstream.chats[-1].body["system"]]
    assert blocks == ["Rule one.\n\nRule two."]


@pytest.mark.parametrize(
    ("messages", "place"),
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
    ids=["result of no call", "no user", "half a block", "no type", "an image that is none"],
)
async def test_what_makes_no_sense_is_named_in_the_dialect_s_own_shape(
    client: anthropic.AsyncAnthropic, messages: Any, place: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        await client.messages.create(model=MODEL, max_tokens=100, messages=messages)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert body["request_id"]
    assert place in body["error"]["message"]


@pytest.mark.parametrize(
    ("status", "kind", "type_"),
    [
        (401, anthropic.InternalServerError, "authentication_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
        (500, anthropic.InternalServerError, "api_error"),
    ],
)
async def test_upstream_trouble_has_the_dialect_s_own_shape(
    client: anthropic.AsyncAnthropic, status: int, kind: type[anthropic.APIStatusError], type_: str
) -> None:
    question: Any = [{"role": "user", "content": f"hi {{{{status {status}}}}}"}]
    with pytest.raises(kind) as caught:
        await client.messages.create(model=MODEL, max_tokens=100, messages=question)
    assert caught.value.body["error"]["type"] == type_  # type: ignore[index]


async def test_tokens_are_counted_at_once_and_many_times(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    question: Any = [{"role": "user", "content": "word " * 400}]
    counted = await client.messages.count_tokens(model=MODEL, messages=question)
    whole = await client.messages.create(model=MODEL, max_tokens=10, messages=question)
    assert 0 < counted.input_tokens <= whole.usage.input_tokens
    assert len(gateway.upstream.chats) == 1


async def test_the_models_come_in_the_dialect_s_own_shape(client: anthropic.AsyncAnthropic) -> None:
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
async def test_how_much_of_the_thoughts_is_shown_is_the_caller_s_choice(
    gateway: Gateway, client: anthropic.AsyncAnthropic, model: str, thinking: Any
) -> None:
    question: Any = [{"role": "user", "content": "hi"}]
    await client.messages.create(model=model, max_tokens=9_000, messages=question, thinking=thinking)
    assert gateway.upstream.chats[-1].body["thinking"] == thinking


async def test_a_count_is_the_upstream_s_own_and_asks_it_nothing(
    gateway: Gateway, client: anthropic.AsyncAnthropic
) -> None:
    tool = {"name": "weather", "description": "about weather", "input_schema": {"type": "object", "properties": {}}}
    asked_for: Any = {
        "model": MODEL,
        "system": [text("Be brief. " * 40)],
        "tools": [tool],
        "messages": [{"role": "user", "content": "How is the weather today? " * 50}],
    }
    counted = await client.messages.count_tokens(**asked_for)
    assert gateway.upstream.received == []
    direct = client.copy(base_url=gateway.upstream.url, api_key=STAND_IN_KEY)
    upstream = await direct.messages.count_tokens(**asked_for)
    assert counted.input_tokens == pytest.approx(upstream.input_tokens, rel=0.1)
