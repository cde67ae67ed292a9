"""Images, documents and thinking through the real CLI: they reach the model byte for byte and in order."""

import io
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import aiohttp
import anthropic
import openai
import orjson
import pytest
import pytest_asyncio

from claude_gateway.devtools.cli_contract.sample_media import encode_base64, make_gif, make_pdf, make_png, make_webp
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from tests.e2e.helpers.client_tools import build_chat_tool
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on
from tests.e2e.helpers.upstream_requests import read_last_messages, text_block
from workers.conversation.resume_file import RESUME_THRESHOLD_USER_TURNS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

Json = dict[str, Any]


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=100, http_client=direct
    ) as connected:
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def larger_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    """Run a gateway with room for a conversation beside the worker that stays free for new ones."""
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=3) as running,
    ):
        yield running


def image(raw: bytes, kind: str = "image/png") -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": encode_base64(raw)}}


def document(**more: Any) -> Json:
    source = {"type": "base64", "media_type": "application/pdf", "data": encode_base64(make_pdf())}
    return {"type": "document", "source": source, **more}


def image_url(raw: bytes, kind: str = "image/png") -> Json:
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{encode_base64(raw)}", "detail": "auto"}}


def user(*content: Json) -> Json:
    return {"role": "user", "content": list(content)}


async def read_warnings(gateway: Gateway, path: str, **body: Any) -> str:
    """Send a request, and return the warnings of its response."""
    data = io.BytesIO(orjson.dumps({"model": MODEL, "max_tokens": 99, **body}))
    async with (
        aiohttp.ClientSession(headers={"x-api-key": API_KEY}) as session,
        session.post(f"{gateway.url}{path}", data=data) as response,
    ):
        assert response.status == 200, await response.text()
        return response.headers.get("x-gateway-warnings", "")


RED, GREEN = make_png(red=200), make_png(2, 2, red=100)
FILE = {
    "type": "file",
    "file": {"filename": "bill.pdf", "file_data": f"data:application/pdf;base64,{encode_base64(make_pdf())}"},
}


@pytest.mark.promise("content.unchanged")
async def test_content_parts_of_a_chat_reach_the_model_as_blocks_in_order(gateway: Gateway) -> None:
    await gateway.ask(
        user(text_block("one"), image_url(RED), text_block("two"), image_url(GREEN), FILE, text_block("three")),
        {"role": "assistant", "content": "I see."},
        user(image_url(make_gif(), "image/gif"), image_url(make_webp(), "image/webp")),
        {"role": "assistant", "content": "These too."},
        user(image_url(RED), text_block("and this?")),
    )
    assert read_last_messages(gateway) == [
        user(
            text_block("one"),
            image(RED),
            text_block("two"),
            image(GREEN),
            document(title="bill.pdf"),
            text_block("three"),
        ),
        {"role": "assistant", "content": [text_block("I see.")]},
        user(image(make_gif(), "image/gif"), image(make_webp(), "image/webp")),
        {"role": "assistant", "content": [text_block("These too.")]},
        user(image(RED), text_block("and this?")),
    ]


async def test_every_kind_of_document_reaches_the_model(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    message: Any = user(
        document(title="Bill", context="of May"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "Note"},
        {"type": "document", "source": {"type": "content", "content": [text_block("part"), image(RED)]}},
        text_block("read"),
    )
    await client.messages.create(model=MODEL, max_tokens=99, messages=[message])
    assert read_last_messages(gateway) == [message]


@pytest.mark.parametrize("kind", ["image", "document"])
async def test_conversation_with_an_image_is_the_same_in_its_worker_and_after_replay(
    larger_gateway: Gateway, kind: str
) -> None:
    first = user(image_url(RED) if kind == "image" else FILE, text_block(f"{kind} one"))
    history: list[Any] = [first]
    bodies = []
    for number in range(3):
        completion = await larger_gateway.ask(*history)
        bodies.append(larger_gateway.upstream.chat_requests[-1].body["messages"])
        history += [{"role": "assistant", "content": completion.choices[0].message.content}]
        history += [user(image_url(GREEN), text_block(f"{kind} and {number}"))]
    for before, after in pairwise(bodies):
        assert before[:-1] == after[: len(before) - 1]
    await larger_gateway.ask({"role": "system", "content": "Another conversation."}, *history)
    rebuilt = [message["content"] for message in read_last_messages(larger_gateway)]
    assert rebuilt[0] == [image(RED) if kind == "image" else document(title="bill.pdf"), text_block(f"{kind} one")]
    assert [content[0] for content in rebuilt[2::2]] == [image(GREEN)] * 3


async def test_images_of_a_very_long_history_reach_the_model(gateway: Gateway) -> None:
    history: list[Any] = [user(image_url(RED), FILE, text_block("see"))]
    for number in range(RESUME_THRESHOLD_USER_TURNS + 5):
        history += [{"role": "assistant", "content": f"answer {number}"}, f"question {number}"]
    await gateway.ask(*history)
    received = read_last_messages(gateway)
    assert received[0] == user(image(RED), document(title="bill.pdf"), text_block("see"))
    assert len(received) == len(history)


async def test_thinking_blocks_come_back_from_the_client_unchanged(
    gateway: Gateway, client: anthropic.AsyncAnthropic
) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 2000}
    messages: Any = [{"role": "user", "content": "yes {{think let me see}}{{redact c2VjcmV0}}"}]
    async with client.messages.stream(model=MODEL, max_tokens=9000, messages=messages, thinking=thinking) as stream:
        completion = await stream.get_final_message()
    thinking_blocks = [
        {"type": "thinking", "thinking": "let me see", "signature": compute_thinking_signature("let me see")},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]
    assert [block.model_dump(exclude_none=True) for block in completion.content[:2]] == thinking_blocks
    messages += [{"role": "assistant", "content": completion.content}, {"role": "user", "content": "go on"}]
    await client.messages.create(model=MODEL, max_tokens=9000, messages=messages, thinking=thinking)
    assistant_blocks = read_last_messages(gateway)[1]["content"]
    assert assistant_blocks == [*thinking_blocks, text_block("yes")]


@pytest.mark.promise("content.in-results")
async def test_tool_result_may_hold_images_and_documents(gateway: Gateway) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": [text_block("here"), image_url(RED), FILE]}
    await gateway.ask(
        "go", {"role": "assistant", "content": None, "tool_calls": [call]}, result, tools=[build_chat_tool("look")]
    )
    (received,) = read_last_messages(gateway)[-1]["content"]
    assert received["content"] == [text_block("here"), image(RED), document(title="bill.pdf")]
    assert not received["is_error"]


async def test_image_of_a_failed_call_follows_the_results_with_a_warning(gateway: Gateway) -> None:
    calls = [{"type": "tool_use", "id": f"toolu_{n}", "name": "look", "input": {}} for n in range(3)]
    results: list[Json] = [
        {"type": "tool_result", "tool_use_id": "toolu_0", "content": [text_block("bad"), image(RED)], "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image(GREEN)]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "", "is_error": True},
    ]
    messages = [
        user(text_block("go")),
        {"role": "assistant", "content": calls},
        user(*results, text_block("and?")),
    ]
    warnings = await read_warnings(gateway, "/v1/messages", messages=messages)
    assert "toolu_0" in warnings
    received = read_last_messages(gateway)[-1]["content"]
    assert [block["type"] for block in received] == ["tool_result"] * 3 + ["image", "text"]
    assert [block.get("content") for block in received[:2]] == [[text_block("bad")], [image(GREEN)]]
    assert received[2]["content"][0]["text"]
    assert received[3] == image(RED)


async def test_image_too_large_for_claude_code_is_scaled_down_with_a_warning(gateway: Gateway) -> None:
    for raw in (make_png(2_500, 10), make_png(size_bytes=600_000), make_png(size_bytes=4_100_000)):
        warnings = await read_warnings(
            gateway, "/v1/chat/completions", messages=[user(image_url(raw), text_block("look"))]
        )
        assert "images: changed 1 over" in warnings
        (received, *_) = read_last_messages(gateway)[0]["content"]
        assert (received["type"], received == image(raw)) == ("image", False)
    for _ in range(3):  # On each worker: the text that Claude Code adds to such an image must not stay.
        await gateway.ask(user(image_url(RED), text_block("look")))
        assert read_last_messages(gateway) == [user(image(RED), text_block("look"))]


async def test_a_hundred_images_reach_the_model(gateway: Gateway) -> None:
    images = [image_url(make_png(red=number)) for number in range(100)]
    await gateway.ask(user(*images, text_block("look")))
    assert read_last_messages(gateway) == [
        user(*(image(make_png(red=number)) for number in range(100)), text_block("look"))
    ]


@pytest.mark.promise("content.never-dropped")
async def test_image_that_the_upstream_refuses_is_an_error(gateway: Gateway) -> None:
    broken = make_png()[:-12]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="image"):
            await gateway.ask(user(image_url(broken), text_block("look")), stream=stream)
    await gateway.ask(user(image_url(RED), text_block("look")))
    assert read_last_messages(gateway) == [user(image(RED), text_block("look"))]


# The request format that Cursor uses for Claude models.

MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.promise("chat.anthropic-parts")
async def test_cursor_runs_a_tool_round_trip_with_anthropic_blocks(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    shape: Json = {
        "extra_body": {"system": [{"type": "text", "text": "be brief", **MARK}]},
        "max_tokens": 4096,
        "tools": [{"name": "read_file", "description": "Read a file", "input_schema": schema, **MARK}],
        "tool_choice": {"type": "auto"},
    }
    question = user({**text_block('read {{tool read_file {"path":"a"}}}'), **MARK})
    reasons, names, ids, arguments = [], [], [], ""
    async for chunk in await gateway.ask(question, stream=True, **shape):
        choice = chunk.choices[0]
        reasons += [choice.finish_reason] if choice.finish_reason else []
        for fragment in choice.delta.tool_calls or ():
            ids += [fragment.id] if fragment.id else []
            names += [fragment.function.name] if fragment.function.name else []
            arguments += fragment.function.arguments or ""
    assert (reasons, names, arguments) == (["tool_calls"], ["read_file"], '{"path":"a"}')
    body = gateway.upstream.chat_requests[-1].body
    assert [block["text"] for block in body["system"]] == ["be brief"]
    assert body["tools"] == [{"name": "read_file", "description": "Read a file", "input_schema": schema}]
    call = {"type": "tool_use", "id": ids[0], "name": "read_file", "input": {"path": "a"}}
    result = {"type": "tool_result", "tool_use_id": ids[0], "content": [text_block("print()"), image(RED)]}
    completion = await gateway.ask(
        question,
        {"role": "assistant", "content": [text_block("Reading."), call]},
        user(result, text_block("go on")),
        **shape,
    )
    assert completion.choices[0].finish_reason == "stop"
    assert read_last_messages(gateway)[1:] == [
        {"role": "assistant", "content": [text_block("Reading."), call]},
        user({**result, "is_error": False}, text_block("go on")),
    ]


# Invalid content.

MISLABELED_IMAGE_URL = f"data:image/jpeg;base64,{encode_base64(RED)}"
BAD: dict[str, tuple[Json, Json]] = {
    "an image with a wrong media type": (
        {"type": "image_url", "image_url": {"url": MISLABELED_IMAGE_URL}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": encode_base64(RED)}},
    ),
    "broken base64": (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo*"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo*"}},
    ),
    "no data": (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}},
    ),
    "a PDF that is not valid": (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{encode_base64(b'<html>')}"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": encode_base64(b"<html>")},
        },
    ),
    "a file of an API that the gateway does not have": (
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ),
    "a URL while fetching is off": (
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ),
}


@pytest.mark.promise("content.declared-type")
@pytest.mark.parametrize("case", BAD)
async def test_invalid_content_is_named_in_the_error_format_of_each_dialect(
    gateway: Gateway, client: anthropic.AsyncAnthropic, case: str
) -> None:
    part, block = BAD[case]
    with pytest.raises(openai.BadRequestError) as chat_error:
        await gateway.ask(user(text_block("look"), part))
    assert chat_error.value.param is not None
    assert chat_error.value.param.startswith("messages.0.content.1")
    message: Any = user(text_block("look"), block)
    with pytest.raises(anthropic.BadRequestError) as messages_error:
        await client.messages.create(model=MODEL, max_tokens=9, messages=[message])
    body: Any = messages_error.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert "messages.0.content.1" in body["error"]["message"]
    assert gateway.upstream.requests == []
