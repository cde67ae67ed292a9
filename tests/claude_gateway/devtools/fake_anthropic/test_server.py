"""The fake Anthropic API rejects real keys, serves loopback only, and records its requests."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ClientResponse, ClientSession

from claude_gateway.devtools.fake_anthropic.server import FAKE_API_KEY, FakeAnthropic

MODEL = "claude-sonnet-4-5-20250929"
KEY_HEADERS = {"x-api-key": FAKE_API_KEY}


@pytest.fixture
async def session(upstream: FakeAnthropic) -> AsyncIterator[ClientSession]:
    async with ClientSession(upstream.url) as session, asyncio.timeout(30):
        yield session


async def send_prompt(
    session: ClientSession, text: str, headers: dict[str, str] = KEY_HEADERS, **more: Any
) -> ClientResponse:
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}
    response = await session.post("/v1/messages", json=body, headers=headers)
    if not more.get("stream"):
        await response.read()
    return response


def parse_events(raw: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line.removeprefix(b"data: ")) for line in raw.split(b"\n") if line.startswith(b"data: ")]


@pytest.mark.promise("demo.no-real-key")
@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "a-key-of-somebody"}, {"authorization": "Bearer a-key-of-somebody"}, {"x-api-key": "ключ"}],
    ids=["none", "x-api-key", "bearer", "not-ascii"],
)
async def test_rejects_foreign_key_and_does_not_record_it(
    upstream: FakeAnthropic, session: ClientSession, headers: dict[str, str]
) -> None:
    response = await send_prompt(session, "hi", headers)

    assert response.status == 401
    assert upstream.requests == []


async def test_accepts_its_own_key_in_either_header(session: ClientSession) -> None:
    assert (await send_prompt(session, "hi")).status == 200
    assert (await send_prompt(session, "hi", {"authorization": f"Bearer {FAKE_API_KEY}"})).status == 200


@pytest.mark.promise("demo.loopback-only")
async def test_listens_on_loopback_only(upstream: FakeAnthropic) -> None:
    assert urlsplit(upstream.url).hostname == "127.0.0.1"


async def test_stops_listening_at_the_end(session: ClientSession, upstream: FakeAnthropic) -> None:
    await upstream.stop()

    with pytest.raises(ClientConnectionError):
        await send_prompt(session, "hi")


async def test_records_received_requests(upstream: FakeAnthropic, session: ClientSession) -> None:
    await send_prompt(session, "hi", {**KEY_HEADERS, "anthropic-beta": "a,b"}, system="Be kind.")

    (received,) = upstream.chat_requests
    assert received.body["system"] == "Be kind."
    assert received.headers["anthropic-beta"] == "a,b"
    assert received.ended.is_set()
    assert not received.disconnected.is_set()
    upstream.clear()
    assert upstream.requests == []


async def test_model_probe_is_not_a_chat_request(upstream: FakeAnthropic, session: ClientSession) -> None:
    await send_prompt(session, "hi", max_tokens=1)

    assert (len(upstream.requests), upstream.chat_requests) == (1, [])


async def test_waits_for_a_matching_request(upstream: FakeAnthropic, session: ClientSession) -> None:
    waiting = asyncio.create_task(upstream.wait_for_request(lambda received: received.body.get("system") == "second"))

    for system in ("first", "second"):
        await send_prompt(session, "hi", system=system)

    assert (await waiting).body["system"] == "second"


async def test_stream_adds_up_to_the_message(session: ClientSession) -> None:
    prompt = 'a b {{think Hm.}}{{tool f {"x": 1}}}{{usage input=7 output=9}}'

    message = await (await send_prompt(session, prompt)).json()
    stream_events = parse_events(await (await send_prompt(session, prompt, stream=True)).read())

    kinds = [event["type"] for event in stream_events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    opened = [event["index"] for event in stream_events if event["type"] == "content_block_start"]
    closed = [event["index"] for event in stream_events if event["type"] == "content_block_stop"]
    assert opened == closed == [0, 1, 2]
    assert (
        "".join(event["delta"].get("text", "") for event in stream_events if event["type"] == "content_block_delta")
        == "a b"
    )
    assert stream_events[-2]["delta"]["stop_reason"] == message["stop_reason"] == "tool_use"
    assert stream_events[-2]["usage"]["output_tokens"] == message["usage"]["output_tokens"] == 9


async def test_rejects_what_the_real_api_rejects(session: ClientSession) -> None:
    response = await send_prompt(session, "hi", temperature=2)

    assert response.status == 400
    assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_rejects_invalid_directive_with_400(session: ClientSession) -> None:
    assert (await send_prompt(session, "{{dance}}")).status == 400


async def test_fails_as_often_as_scripted(session: ClientSession) -> None:
    prompt = "{{status 429 retry-after=7}}{{times 1}}"

    first, second = [await send_prompt(session, prompt) for _ in range(2)]

    assert (first.status, first.headers["retry-after"], second.status) == (429, "7", 200)


async def test_dropped_stream_ends_after_its_deltas(session: ClientSession) -> None:
    response = await send_prompt(session, "a b c {{drop 2}}", stream=True)

    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_scripted_error_event_has_the_type_overloaded(session: ClientSession) -> None:
    stream_events = parse_events(await (await send_prompt(session, "a b c {{break 1}}", stream=True)).read())

    assert stream_events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


async def test_empty_reply_is_a_stream_without_blocks(session: ClientSession) -> None:
    stream_events = parse_events(await (await send_prompt(session, "{{empty}}", stream=True)).read())

    assert [event["type"] for event in stream_events] == ["message_start", "message_delta", "message_stop"]
    assert stream_events[1]["delta"]["stop_reason"] == "end_turn"


async def test_sends_lone_surrogate_as_its_escape(session: ClientSession) -> None:
    prompt = r'{{say_json "a\ud83d"}}{{think_json "\ud83d"}}{{tool f {"x": "\ud83d"}}}'

    stream_events = await (await send_prompt(session, prompt, stream=True)).read()

    assert rb'"text":"a\ud83d"' in stream_events
    assert rb'"thinking":"\ud83d"' in stream_events
    assert rb'"partial_json":"{\"x\":\"\\ud83d\"}"' in stream_events


async def test_keeps_all_digits_of_long_integers(upstream: FakeAnthropic, session: ClientSession) -> None:
    number = 123456789012345678901234567890

    stream_events = await (
        await send_prompt(session, f'{{{{tool f {{"n":{number}}}}}}}', stream=True, metadata={"n": number})
    ).read()

    assert rf"{{\"n\":{number}}}".encode() in stream_events
    assert upstream.chat_requests[0].body["metadata"] == {"n": number}


@pytest.mark.parametrize(
    ("kind", "last"), [("cut", None), ("end", "content_block_delta"), ("error", "error")], ids=["cut", "end", "error"]
)
async def test_stream_ends_at_the_scripted_stage(session: ClientSession, kind: str, last: str | None) -> None:
    response = await send_prompt(session, f"word {{{{{kind} text}}}}", stream=True)

    if last is None:
        with pytest.raises(ClientPayloadError):
            await response.read()
    else:
        assert parse_events(await response.read())[-1]["type"] == last


async def test_disconnects_after_the_headers(session: ClientSession) -> None:
    response = await send_prompt(session, "word {{cut nothing}}", stream=True)

    assert response.status == 200
    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_rejects_unreachable_stage_with_400(session: ClientSession) -> None:
    response = await send_prompt(session, "word {{cut call}}", stream=True)

    assert response.status == 400
    assert "no stage 'call'" in await response.text()


async def test_rejects_lone_surrogate_in_a_request(session: ClientSession) -> None:
    response = await session.post("/v1/messages", data=rb'{"model": "\ud83d"}', headers=KEY_HEADERS)

    assert response.status == 400
    assert "not valid JSON" in (await response.json())["error"]["message"]


async def test_notices_disconnected_client(upstream: FakeAnthropic, session: ClientSession) -> None:
    response = await send_prompt(session, "{{hang}}", stream=True)

    response.close()

    await upstream.chat_requests[0].disconnected.wait()


async def test_unknown_path_is_a_404(session: ClientSession) -> None:
    assert (await session.get("/v1/nowhere")).status == 404


async def test_rejects_prompt_beyond_the_window(session: ClientSession) -> None:
    response = await send_prompt(session, "word " * 170_000)

    assert response.status == 400
    assert (await response.json())["error"]["message"].startswith("prompt is too long: 2")
    assert (
        await send_prompt(session, "word " * 170_000, {**KEY_HEADERS, "anthropic-beta": "context-1m-2025-08-07"})
    ).status == 200


async def test_window_of_a_request_can_be_scripted(session: ClientSession) -> None:
    rejected = await send_prompt(session, "{{window 20}}" + "word " * 100)
    cut = await send_prompt(session, "{{window 20}}{{deltas 100}}")

    assert (await rejected.json())["error"]["message"] == "prompt is too long: 136 tokens > 20 maximum"
    assert (await cut.json())["stop_reason"] == "model_context_window_exceeded"


async def test_rejects_body_beyond_32_mib(session: ClientSession) -> None:
    response = await session.post("/v1/messages", data=BytesIO(b"x" * (1 + (32 << 20))), headers=KEY_HEADERS)

    assert response.status == 413
    assert (await response.json())["error"]["type"] == "request_too_large"


async def test_second_request_reads_from_the_prompt_cache(session: ClientSession) -> None:
    system = [{"type": "text", "text": "word " * 2_000, "cache_control": {"type": "ephemeral"}}]

    first, second = [(await (await send_prompt(session, "hi", system=system)).json())["usage"] for _ in range(2)]

    assert first["cache_creation_input_tokens"] == second["cache_read_input_tokens"] > 2_000
    assert first["input_tokens"] == second["input_tokens"] < 10


async def test_scripted_usage_overrides_the_prompt_cache(session: ClientSession) -> None:
    system = [{"type": "text", "text": "word " * 2_000, "cache_control": {"type": "ephemeral"}}]

    message = await (await send_prompt(session, "hi {{usage input=7 cache_read=5}}", system=system)).json()

    usage = message["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (7, 5, 0)


async def test_accepts_thinking_with_its_signature_alone(session: ClientSession) -> None:
    content = (await (await send_prompt(session, "hi {{think hm}}")).json())["content"]
    changed_content = [{**content[0], "thinking": "another"}, *content[1:]]

    async def continue_with(content: Any) -> ClientResponse:
        turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]
        return await send_prompt(session, "", messages=[*turns, {"role": "user", "content": "and?"}])

    assert (await continue_with(content)).status == 200
    rejected = await continue_with(changed_content)
    assert rejected.status == 400
    message = (await rejected.json())["error"]["message"]
    assert message == "messages.1.content.0: Invalid `signature` in `thinking` block"


async def test_limits_of_a_key_are_reported_until_the_test_removes_them(
    upstream: FakeAnthropic, session: ClientSession
) -> None:
    upstream.accepted_keys.add("another-key")
    upstream.limits_by_key["another-key"] = "five_hour=rejected,1,3600"
    limited = await send_prompt(session, "hi", {"x-api-key": "another-key"})
    assert (limited.status, limited.headers["retry-after"]) == (429, "3600")
    assert (await send_prompt(session, "hi")).status == 200
    upstream.limits_by_key["another-key"] = "five_hour=allowed,0.5,3600"
    allowed = await send_prompt(session, "hi", {"x-api-key": "another-key"})
    assert (allowed.status, allowed.headers["anthropic-ratelimit-unified-5h-utilization"]) == (200, "0.5")
    upstream.limits_by_key.clear()
    free = await send_prompt(session, "hi", {"x-api-key": "another-key"})
    assert "anthropic-ratelimit-unified-status" not in free.headers
