"""Programs act on the upstream's own words: a refusal of the request reaches the client in them, in each dialect."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from claude_gateway.demo.message import whole_message
from claude_gateway.demo.script import Script
from tests.e2e.conftest import API_KEY, MODEL, Gateway
from tests.e2e.test_upstream_trouble import next_request_works

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOO_LONG = "prompt is too long: 215000 tokens > 200000 maximum"
# What programs look for, and what the CLI says in its frames.
WORDS: Mapping[str, str] = {
    "too-long": TOO_LONG,  # Prompt is too long
    "with-output": (  # Prompt is too long
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
        "`max_tokens` and try again"
    ),
    "image": (  # Image was too large. Try resizing the image or using a different approach.
        "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes"
    ),
    "thinking": (  # API Error: 400 messages.1.content.0: …
        "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be "
        "modified. These blocks must remain as they were in the original response."
    ),
    "tool-use": (  # API Error: 400 due to tool use concurrency issues.
        "messages.2: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each "
        "`tool_use` block must have a corresponding `tool_result` block in the next message."
    ),
    "tool-result": (  # API Error: 400 orphaned tool_result in conversation history.
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1."
    ),
    "output-limit": (  # API Error: 400 max_tokens: …; the CLI's log has [REDACTED] for the first number
        "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for "
        "claude-sonnet-4-5-20250929"
    ),
    "credit": (  # Credit balance is too low
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
        "purchase credits."
    ),
    "pdf": "messages.0.content.0.pdf.source.base64.data: The PDF specified was not valid.",
}
MESSAGE = "{{status 400}}{{message %s}}"


def body_of(dialect: str, prompt: str) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": prompt}]
    match dialect:
        case "chat":
            return "/v1/chat/completions", {"messages": messages}
        case "responses":
            return "/v1/responses", {"input": prompt}
        case "messages":
            return "/v1/messages", {"messages": messages, "max_tokens": 50}
    return f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}


async def refused(gateway: Gateway, dialect: str, prompt: str, *, stream: bool = False) -> tuple[int, dict[str, Any]]:
    """The status and the error of a refusal."""
    path, body = body_of(dialect, prompt)
    if stream and dialect == "gemini":
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        session.post(path, json={"model": MODEL, "stream": stream, **body}) as response,
    ):
        return response.status, (await response.json())["error"]


@pytest.mark.promise("errors.upstream-words")
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_messages_answers_in_the_upstream_s_words(gateway: Gateway, words: str, stream: bool) -> None:
    status, error = await refused(gateway, "messages", MESSAGE % words, stream=stream)

    assert (status, error) == (400, {"type": "invalid_request_error", "message": words})
    await next_request_works(gateway)


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("dialect", ["chat", "responses", "gemini"])
async def test_every_other_dialect_has_them_in_its_envelope(gateway: Gateway, dialect: str, words: str) -> None:
    status, error = await refused(gateway, dialect, MESSAGE % words)

    assert (status, words in error["message"]) == (400, True)


@pytest.mark.parametrize("words", [TOO_LONG, WORDS["with-output"]], ids=["alone", "with-output"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_each_dialect_says_too_long_in_its_own_words(gateway: Gateway, words: str, stream: bool) -> None:
    chat, responses, gemini = [
        (await refused(gateway, dialect, MESSAGE % words, stream=stream))[1]
        for dialect in ("chat", "responses", "gemini")
    ]

    for error in (chat, responses):
        assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")
        assert "This model's maximum context length is 200000 tokens" in error["message"]
    assert (gemini["status"], gemini["details"][0]["reason"]) == ("INVALID_ARGUMENT", "CONTEXT_LENGTH_EXCEEDED")
    assert "exceeds the maximum number of tokens allowed (200000)" in gemini["message"]


async def test_words_for_a_request_that_is_too_large_keep_their_status(gateway: Gateway) -> None:
    said = "{{status 413}}{{message Request exceeds the maximum size}}"

    assert await refused(gateway, "messages", said) == (
        413,
        {"type": "request_too_large", "message": "Request exceeds the maximum size"},
    )


async def test_the_owner_s_billing_is_no_fault_of_the_request(gateway: Gateway) -> None:
    said = "{{status 402}}{{message Your account has a problem with billing.}}"

    status, error = await refused(gateway, "messages", said)
    assert (status, error["type"]) == (402, "billing_error")
    status, error = await refused(gateway, "chat", said)
    assert (status, error["code"]) == (402, "insufficient_quota")


async def test_each_of_many_refusals_at_once_has_its_own_words(gateway: Gateway) -> None:
    said = [f"messages.{number}: refused" for number in range(20)]

    answers = await asyncio.gather(*(refused(gateway, "messages", MESSAGE % words) for words in said))

    assert [error["message"] for _, error in answers] == said


async def test_the_words_of_one_turn_are_not_those_of_the_next(gateway: Gateway) -> None:
    """The second refusal of the same process holds a number that the CLI's log hides."""
    for words in (WORDS["image"], WORDS["output-limit"], WORDS["image"]):
        assert (await refused(gateway, "messages", MESSAGE % words))[1]["message"] == words


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_message_has_the_id_that_the_upstream_gave_it(gateway: Gateway, stream: bool) -> None:
    """Claude Code puts messages of one id together, and then compacts them together."""
    path, body = body_of("messages", "hello")
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        session.post(path, json={"model": MODEL, "stream": stream, **body}) as response,
    ):
        answer = await response.text()

    (asked,) = gateway.upstream.chats
    assert f'"id":"{whole_message(asked.body, Script())["id"]}"' in answer
