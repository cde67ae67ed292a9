"""Error messages of the upstream, on which programs act, reach the client unchanged, in each dialect."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from claude_gateway.devtools.fake_anthropic.message import build_message
from claude_gateway.devtools.fake_anthropic.script import Script
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway
from tests.e2e.helpers.upstream_requests import check_next_request_works

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOO_LONG = "prompt is too long: 215000 tokens > 200000 maximum"
# Upstream messages that programs look for. The comments show how the CLI reports them in its frames.
UPSTREAM_MESSAGES: Mapping[str, str] = {
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


def build_request(dialect: str, prompt: str) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": prompt}]
    match dialect:
        case "chat":
            return "/v1/chat/completions", {"messages": messages}
        case "responses":
            return "/v1/responses", {"input": prompt}
        case "messages":
            return "/v1/messages", {"messages": messages, "max_tokens": 50}
    return f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}


async def read_error(
    gateway: Gateway, dialect: str, prompt: str, *, stream: bool = False
) -> tuple[int, dict[str, Any]]:
    """Return status and error of a rejected request."""
    path, body = build_request(dialect, prompt)
    if stream and dialect == "gemini":
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        session.post(path, json={"model": MODEL, "stream": stream, **body}) as response,
    ):
        return response.status, (await response.json())["error"]


@pytest.mark.promise("errors.upstream-messages")
@pytest.mark.parametrize("message", UPSTREAM_MESSAGES.values(), ids=UPSTREAM_MESSAGES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_messages_repeats_the_upstream_error_message(gateway: Gateway, message: str, stream: bool) -> None:
    status, error = await read_error(gateway, "messages", MESSAGE % message, stream=stream)

    assert (status, error) == (400, {"type": "invalid_request_error", "message": message})
    await check_next_request_works(gateway)


@pytest.mark.parametrize("message", UPSTREAM_MESSAGES.values(), ids=UPSTREAM_MESSAGES)
@pytest.mark.parametrize("dialect", ["chat", "responses", "gemini"])
async def test_other_dialects_repeat_the_upstream_error_message_in_their_format(
    gateway: Gateway, dialect: str, message: str
) -> None:
    status, error = await read_error(gateway, dialect, MESSAGE % message)

    assert (status, message in error["message"]) == (400, True)


@pytest.mark.parametrize("message", [TOO_LONG, UPSTREAM_MESSAGES["with-output"]], ids=["alone", "with-output"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_each_dialect_reports_a_too_long_prompt_in_its_own_way(
    gateway: Gateway, message: str, stream: bool
) -> None:
    chat, responses, gemini = [
        (await read_error(gateway, dialect, MESSAGE % message, stream=stream))[1]
        for dialect in ("chat", "responses", "gemini")
    ]

    for error in (chat, responses):
        assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")
        assert "This model's maximum context length is 200000 tokens" in error["message"]
    assert (gemini["status"], gemini["details"][0]["reason"]) == ("INVALID_ARGUMENT", "CONTEXT_LENGTH_EXCEEDED")
    assert "exceeds the maximum number of tokens allowed (200000)" in gemini["message"]


async def test_too_large_request_keeps_its_status_and_message(gateway: Gateway) -> None:
    prompt = "{{status 413}}{{message Request exceeds the maximum size}}"

    assert await read_error(gateway, "messages", prompt) == (
        413,
        {"type": "request_too_large", "message": "Request exceeds the maximum size"},
    )


async def test_billing_problem_of_the_account_is_not_a_client_error(gateway: Gateway) -> None:
    prompt = "{{status 402}}{{message Your account has a problem with billing.}}"

    status, error = await read_error(gateway, "messages", prompt)
    assert (status, error["type"]) == (402, "billing_error")
    status, error = await read_error(gateway, "chat", prompt)
    assert (status, error["code"]) == (402, "insufficient_quota")


async def test_concurrent_refusals_have_their_own_messages(gateway: Gateway) -> None:
    messages = [f"messages.{number}: refused" for number in range(20)]

    results = await asyncio.gather(*(read_error(gateway, "messages", MESSAGE % message) for message in messages))

    assert [error["message"] for _, error in results] == messages


async def test_error_message_of_one_turn_does_not_reach_the_next(gateway: Gateway) -> None:
    """The message of the second error holds a number that the CLI's log hides."""
    for message in (
        UPSTREAM_MESSAGES["image"],
        UPSTREAM_MESSAGES["output-limit"],
        UPSTREAM_MESSAGES["image"],
    ):
        assert (await read_error(gateway, "messages", MESSAGE % message))[1]["message"] == message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_message_has_the_id_of_the_upstream(gateway: Gateway, stream: bool) -> None:
    """Claude Code joins messages with the same id, and then compacts them together."""
    path, body = build_request("messages", "hello")
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession(gateway.url, headers=headers) as session,
        session.post(path, json={"model": MODEL, "stream": stream, **body}) as response,
    ):
        text = await response.text()

    (request,) = gateway.upstream.chat_requests
    assert f'"id":"{build_message(request.body, Script())["id"]}"' in text
