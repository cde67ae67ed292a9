"""Images, documents and thoughts through the real CLI: the model sees what was sent, to the byte and in its order."""

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

from claude_gateway.cli_facts.pictures import base64, gif, pdf, png, webp
from claude_gateway.demo.thoughts import sign
from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import API_KEY, MODEL, Gateway, gateway_on
from tests.e2e.test_messages import asked, text
from tests.e2e.test_tools import nested
from workers.prepared import WORTH_A_PROCESS

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
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=30, http_client=direct
    ) as connected:
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def roomy(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    """Room for a conversation beside the worker that is kept empty."""
    async with (
        stand_in() as upstream,
        gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=3) as running,
    ):
        yield running


def image(raw: bytes, kind: str = "image/png") -> Json:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": base64(raw)}}


def document(**more: Any) -> Json:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64(pdf())}
    return {"type": "document", "source": source, **more}


def image_url(raw: bytes, kind: str = "image/png") -> Json:
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{base64(raw)}", "detail": "auto"}}


def user(*content: Json) -> Json:
    return {"role": "user", "content": list(content)}


async def warnings_of(gateway: Gateway, path: str, **body: Any) -> str:
    """Asks, and returns what was warned of."""
    sent = io.BytesIO(orjson.dumps({"model": MODEL, "max_tokens": 99, **body}))
    async with (
        aiohttp.ClientSession(headers={"x-api-key": API_KEY}) as session,
        session.post(f"{gateway.url}{path}", data=sent) as response,
    ):
        assert response.status == 200, await response.text()
        return response.headers.get("x-gateway-warnings", "")


RED, GREEN = png(colour=200), png(2, 2, colour=100)
FILE = {"type": "file", "file": {"filename": "bill.pdf", "file_data": f"data:application/pdf;base64,{base64(pdf())}"}}


@pytest.mark.promise("content.unchanged")
async def test_the_parts_of_a_chat_reach_the_model_as_blocks_in_their_order(gateway: Gateway) -> None:
    await gateway.ask(
        user(text("one"), image_url(RED), text("two"), image_url(GREEN), FILE, text("three")),
        {"role": "assistant", "content": "I see."},
        user(image_url(gif(), "image/gif"), image_url(webp(), "image/webp")),
        {"role": "assistant", "content": "These too."},
        user(image_url(RED), text("and this?")),
    )
    assert asked(gateway) == [
        user(text("one"), image(RED), text("two"), image(GREEN), document(title="bill.pdf"), text("three")),
        {"role": "assistant", "content": [text("I see.")]},
        user(image(gif(), "image/gif"), image(webp(), "image/webp")),
        {"role": "assistant", "content": [text("These too.")]},
        user(image(RED), text("and this?")),
    ]


async def test_every_kind_of_document_reaches_the_model(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    message: Any = user(
        document(title="Bill", context="of May"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "Note"},
        {"type": "document", "source": {"type": "content", "content": [text("part"), image(RED)]}},
        text("read"),
    )
    await client.messages.create(model=MODEL, max_tokens=99, messages=[message])
    assert asked(gateway) == [message]


@pytest.mark.parametrize("kind", ["image", "document"])
async def test_a_conversation_with_an_image_goes_on_in_its_worker_and_is_rebuilt_the_same(
    roomy: Gateway, kind: str
) -> None:
    first = user(image_url(RED) if kind == "image" else FILE, text(f"{kind} one"))
    history: list[Any] = [first]
    bodies = []
    for number in range(3):
        answer = await roomy.ask(*history)
        bodies.append(roomy.upstream.chats[-1].body["messages"])
        history += [{"role": "assistant", "content": answer.choices[0].message.content}]
        history += [user(image_url(GREEN), text(f"{kind} and {number}"))]
    for before, after in pairwise(bodies):
        assert before[:-1] == after[: len(before) - 1]
    await roomy.ask({"role": "system", "content": "Another conversation."}, *history)
    rebuilt = [message["content"] for message in asked(roomy)]
    assert rebuilt[0] == [image(RED) if kind == "image" else document(title="bill.pdf"), text(f"{kind} one")]
    assert [content[0] for content in rebuilt[2::2]] == [image(GREEN)] * 3


async def test_images_of_a_very_long_history_reach_the_model(gateway: Gateway) -> None:
    history: list[Any] = [user(image_url(RED), FILE, text("see"))]
    for number in range(WORTH_A_PROCESS + 5):
        history += [{"role": "assistant", "content": f"answer {number}"}, f"question {number}"]
    await gateway.ask(*history)
    sent = asked(gateway)
    assert sent[0] == user(image(RED), document(title="bill.pdf"), text("see"))
    assert len(sent) == len(history)


async def test_thoughts_go_to_the_caller_and_come_back_unchanged(
    gateway: Gateway, client: anthropic.AsyncAnthropic
) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 2000}
    messages: Any = [{"role": "user", "content": "yes {{think let me see}}{{redact c2VjcmV0}}"}]
    async with client.messages.stream(model=MODEL, max_tokens=9000, messages=messages, thinking=thinking) as stream:
        answer = await stream.get_final_message()
    thoughts = [
        {"type": "thinking", "thinking": "let me see", "signature": sign("let me see")},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]
    assert [block.model_dump(exclude_none=True) for block in answer.content[:2]] == thoughts
    messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": "go on"}]
    await client.messages.create(model=MODEL, max_tokens=9000, messages=messages, thinking=thinking)
    said = asked(gateway)[1]["content"]
    assert said == [*thoughts, text("yes")]


@pytest.mark.promise("content.in-results")
async def test_a_tool_answers_with_images_and_documents(gateway: Gateway) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": [text("here"), image_url(RED), FILE]}
    await gateway.ask(
        "go", {"role": "assistant", "content": None, "tool_calls": [call]}, result, tools=[nested("look")]
    )
    (sent,) = asked(gateway)[-1]["content"]
    assert sent["content"] == [text("here"), image(RED), document(title="bill.pdf")]
    assert not sent["is_error"]


async def test_the_image_of_a_failed_call_stands_behind_the_results_with_a_warning(gateway: Gateway) -> None:
    calls = [{"type": "tool_use", "id": f"toolu_{n}", "name": "look", "input": {}} for n in range(3)]
    results: list[Json] = [
        {"type": "tool_result", "tool_use_id": "toolu_0", "content": [text("bad"), image(RED)], "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image(GREEN)]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "", "is_error": True},
    ]
    said = [user(text("go")), {"role": "assistant", "content": calls}, user(*results, text("and?"))]
    warned = await warnings_of(gateway, "/v1/messages", messages=said)
    assert "toolu_0" in warned
    sent = asked(gateway)[-1]["content"]
    assert [block["type"] for block in sent] == ["tool_result"] * 3 + ["image", "text"]
    assert [block.get("content") for block in sent[:2]] == [[text("bad")], [image(GREEN)]]
    assert sent[2]["content"][0]["text"]
    assert sent[3] == image(RED)


async def test_an_image_too_large_for_claude_code_is_served_smaller_with_a_warning(gateway: Gateway) -> None:
    for raw in (png(2_500, 10), png(size=600_000), png(size=4_100_000)):
        warned = await warnings_of(gateway, "/v1/chat/completions", messages=[user(image_url(raw), text("look"))])
        assert "images: 1 over" in warned
        (sent, *_) = asked(gateway)[0]["content"]
        assert (sent["type"], sent == image(raw)) == ("image", False)
    for _ in range(3):  # on each of the workers: the text that Claude Code adds to such an image goes with it
        await gateway.ask(user(image_url(RED), text("look")))
        assert asked(gateway) == [user(image(RED), text("look"))]


async def test_a_hundred_images_reach_the_model(gateway: Gateway) -> None:
    many = [image_url(png(colour=number)) for number in range(100)]
    await gateway.ask(user(*many, text("look")))
    assert asked(gateway) == [user(*(image(png(colour=number)) for number in range(100)), text("look"))]


@pytest.mark.promise("content.never-dropped")
async def test_an_image_that_the_upstream_refuses_is_an_error_and_no_answer_without_it(gateway: Gateway) -> None:
    broken = png()[:-12]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="image"):
            await gateway.ask(user(image_url(broken), text("look")), stream=stream)
    await gateway.ask(user(image_url(RED), text("look")))
    assert asked(gateway) == [user(image(RED), text("look"))]


# What Cursor sends for Claude's names.

MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.promise("chat.anthropic-parts")
async def test_cursor_runs_a_tool_round_trip_in_anthropic_s_shapes(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    shape: Json = {
        "extra_body": {"system": [{"type": "text", "text": "be brief", **MARK}]},
        "max_tokens": 4096,
        "tools": [{"name": "read_file", "description": "Read a file", "input_schema": schema, **MARK}],
        "tool_choice": {"type": "auto"},
    }
    question = user({**text('read {{tool read_file {"path":"a"}}}'), **MARK})
    reasons, names, ids, arguments = [], [], [], ""
    async for chunk in await gateway.ask(question, stream=True, **shape):
        choice = chunk.choices[0]
        reasons += [choice.finish_reason] if choice.finish_reason else []
        for fragment in choice.delta.tool_calls or ():
            ids += [fragment.id] if fragment.id else []
            names += [fragment.function.name] if fragment.function.name else []
            arguments += fragment.function.arguments or ""
    assert (reasons, names, arguments) == (["tool_calls"], ["read_file"], '{"path":"a"}')
    body = gateway.upstream.chats[-1].body
    assert [block["text"] for block in body["system"]] == ["be brief"]
    assert body["tools"] == [{"name": "read_file", "description": "Read a file", "input_schema": schema}]
    call = {"type": "tool_use", "id": ids[0], "name": "read_file", "input": {"path": "a"}}
    result = {"type": "tool_result", "tool_use_id": ids[0], "content": [text("print()"), image(RED)]}
    answer = await gateway.ask(
        question, {"role": "assistant", "content": [text("Reading."), call]}, user(result, text("go on")), **shape
    )
    assert answer.choices[0].finish_reason == "stop"
    assert asked(gateway)[1:] == [
        {"role": "assistant", "content": [text("Reading."), call]},
        user({**result, "is_error": False}, text("go on")),
    ]


# Bad input.

LIE = f"data:image/jpeg;base64,{base64(RED)}"
BAD: dict[str, tuple[Json, Json]] = {
    "an image that lies about its type": (
        {"type": "image_url", "image_url": {"url": LIE}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": base64(RED)}},
    ),
    "broken base64": (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo*"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo*"}},
    ),
    "no data": (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}},
    ),
    "a PDF that is none": (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{base64(b'<html>')}"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": base64(b"<html>")},
        },
    ),
    "a file of an API that is not here": (
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ),
    "a URL where nothing is fetched": (
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ),
}


@pytest.mark.promise("content.no-lies")
@pytest.mark.parametrize("case", BAD)
async def test_bad_content_is_named_in_the_shape_of_each_dialect(
    gateway: Gateway, client: anthropic.AsyncAnthropic, case: str
) -> None:
    part, block = BAD[case]
    with pytest.raises(openai.BadRequestError) as refused:
        await gateway.ask(user(text("look"), part))
    assert refused.value.param is not None
    assert refused.value.param.startswith("messages.0.content.1")
    message: Any = user(text("look"), block)
    with pytest.raises(anthropic.BadRequestError) as also_refused:
        await client.messages.create(model=MODEL, max_tokens=9, messages=[message])
    body: Any = also_refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert "messages.0.content.1" in body["error"]["message"]
    assert gateway.upstream.received == []
