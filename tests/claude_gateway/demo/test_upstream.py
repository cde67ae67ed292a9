"""The stand-in takes no real key, serves loopback alone, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ClientResponse, ClientSession

from claude_gateway.demo.upstream import STAND_IN_KEY, StandIn

MODEL = "claude-sonnet-4-5-20250929"
OURS = {"x-api-key": STAND_IN_KEY}


@pytest.fixture
async def session(upstream: StandIn) -> AsyncIterator[ClientSession]:
    async with ClientSession(upstream.url) as session, asyncio.timeout(30):
        yield session


async def ask(session: ClientSession, text: str, headers: dict[str, str] = OURS, **more: Any) -> ClientResponse:
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}
    response = await session.post("/v1/messages", json=body, headers=headers)
    if not more.get("stream"):
        await response.read()
    return response


def events(raw: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line.removeprefix(b"data: ")) for line in raw.split(b"\n") if line.startswith(b"data: ")]


@pytest.mark.promise("demo.no-real-key")
@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "a-key-of-somebody"}, {"authorization": "Bearer a-key-of-somebody"}, {"x-api-key": "ключ"}],
    ids=["none", "x-api-key", "bearer", "not-ascii"],
)
async def test_a_foreign_key_is_refused_and_not_kept(
    upstream: StandIn, session: ClientSession, headers: dict[str, str]
) -> None:
    response = await ask(session, "hi", headers)

    assert response.status == 401
    assert upstream.received == []


async def test_its_own_key_is_taken_in_either_header(session: ClientSession) -> None:
    assert (await ask(session, "hi")).status == 200
    assert (await ask(session, "hi", {"authorization": f"Bearer {STAND_IN_KEY}"})).status == 200


@pytest.mark.promise("demo.loopback-only")
async def test_it_listens_on_loopback_alone(upstream: StandIn) -> None:
    assert urlsplit(upstream.url).hostname == "127.0.0.1"


async def test_it_is_gone_after_stop(session: ClientSession, upstream: StandIn) -> None:
    await upstream.stop()

    with pytest.raises(ClientConnectionError):
        await ask(session, "hi")


async def test_it_records_what_it_received(upstream: StandIn, session: ClientSession) -> None:
    await ask(session, "hi", {**OURS, "anthropic-beta": "a,b"}, system="Be kind.")

    (received,) = upstream.chats
    assert received.body["system"] == "Be kind."
    assert received.headers["anthropic-beta"] == "a,b"
    assert received.ended.is_set()
    assert not received.left.is_set()
    upstream.forget()
    assert upstream.received == []


async def test_a_probe_of_a_model_name_is_no_chat(upstream: StandIn, session: ClientSession) -> None:
    await ask(session, "hi", max_tokens=1)

    assert (len(upstream.received), upstream.chats) == (1, [])


async def test_one_can_wait_for_a_request_that_fits(upstream: StandIn, session: ClientSession) -> None:
    waiting = asyncio.create_task(upstream.arrived(lambda received: received.body.get("system") == "second"))

    for system in ("first", "second"):
        await ask(session, "hi", system=system)

    assert (await waiting).body["system"] == "second"


async def test_a_stream_adds_up_to_the_whole_message(session: ClientSession) -> None:
    asked = 'a b {{think Hm.}}{{tool f {"x": 1}}}{{usage input=7 output=9}}'

    whole = await (await ask(session, asked)).json()
    sent = events(await (await ask(session, asked, stream=True)).read())

    kinds = [event["type"] for event in sent]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    opened = [event["index"] for event in sent if event["type"] == "content_block_start"]
    closed = [event["index"] for event in sent if event["type"] == "content_block_stop"]
    assert opened == closed == [0, 1, 2]
    assert "".join(event["delta"].get("text", "") for event in sent if event["type"] == "content_block_delta") == "a b"
    assert sent[-2]["delta"]["stop_reason"] == whole["stop_reason"] == "tool_use"
    assert sent[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"] == 9


async def test_it_refuses_what_the_real_api_refuses(session: ClientSession) -> None:
    response = await ask(session, "hi", temperature=2)

    assert response.status == 400
    assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_a_directive_it_cannot_read_is_a_400(session: ClientSession) -> None:
    assert (await ask(session, "{{dance}}")).status == 400


async def test_it_fails_as_scripted_as_often_as_scripted(session: ClientSession) -> None:
    asked = "{{status 429 retry-after=7}}{{times 1}}"

    first, second = [await ask(session, asked) for _ in range(2)]

    assert (first.status, first.headers["retry-after"], second.status) == (429, "7", 200)


async def test_a_dropped_stream_ends_behind_its_deltas(session: ClientSession) -> None:
    response = await ask(session, "a b c {{drop 2}}", stream=True)

    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_a_broken_stream_says_overloaded(session: ClientSession) -> None:
    sent = events(await (await ask(session, "a b c {{break 1}}", stream=True)).read())

    assert sent[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


async def test_empty_answer_is_a_stream_without_blocks(session: ClientSession) -> None:
    sent = events(await (await ask(session, "{{empty}}", stream=True)).read())

    assert [event["type"] for event in sent] == ["message_start", "message_delta", "message_stop"]
    assert sent[1]["delta"]["stop_reason"] == "end_turn"


async def test_half_a_surrogate_pair_is_sent_as_its_escape(session: ClientSession) -> None:
    asked = r'{{say_json "a\ud83d"}}{{think_json "\ud83d"}}{{tool f {"x": "\ud83d"}}}'

    sent = await (await ask(session, asked, stream=True)).read()

    assert rb'"text":"a\ud83d"' in sent
    assert rb'"thinking":"\ud83d"' in sent
    assert rb'"partial_json":"{\"x\":\"\\ud83d\"}"' in sent


async def test_long_integers_stay_whole_in_calls_and_records(upstream: StandIn, session: ClientSession) -> None:
    number = 123456789012345678901234567890

    sent = await (await ask(session, f'{{{{tool f {{"n":{number}}}}}}}', stream=True, metadata={"n": number})).read()

    assert rf"{{\"n\":{number}}}".encode() in sent
    assert upstream.chats[0].body["metadata"] == {"n": number}


@pytest.mark.parametrize(
    ("how", "last"), [("cut", None), ("end", "content_block_delta"), ("error", "error")], ids=["cut", "end", "error"]
)
async def test_stream_ends_early_where_scripted(session: ClientSession, how: str, last: str | None) -> None:
    response = await ask(session, f"word {{{{{how} text}}}}", stream=True)

    if last is None:
        with pytest.raises(ClientPayloadError):
            await response.read()
    else:
        assert events(await response.read())[-1]["type"] == last


async def test_connection_may_be_cut_behind_the_headers(session: ClientSession) -> None:
    response = await ask(session, "word {{cut nothing}}", stream=True)

    assert response.status == 200
    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_stage_that_an_answer_never_reaches_is_a_400(session: ClientSession) -> None:
    response = await ask(session, "word {{cut call}}", stream=True)

    assert response.status == 400
    assert "no stage 'call'" in await response.text()


async def test_half_a_surrogate_pair_in_a_request_is_no_json(session: ClientSession) -> None:
    response = await session.post("/v1/messages", data=rb'{"model": "\ud83d"}', headers=OURS)

    assert response.status == 400
    assert "not valid JSON" in (await response.json())["error"]["message"]


async def test_a_caller_who_leaves_is_noticed(upstream: StandIn, session: ClientSession) -> None:
    response = await ask(session, "{{hang}}", stream=True)

    response.close()

    await upstream.chats[0].left.wait()


async def test_another_path_is_a_404(session: ClientSession) -> None:
    assert (await session.get("/v1/nowhere")).status == 404


async def test_prompt_beyond_the_window_is_refused(session: ClientSession) -> None:
    response = await ask(session, "word " * 170_000)

    assert response.status == 400
    assert (await response.json())["error"]["message"].startswith("prompt is too long: 2")
    assert (await ask(session, "word " * 170_000, {**OURS, "anthropic-beta": "context-1m-2025-08-07"})).status == 200


async def test_window_of_a_request_may_be_scripted(session: ClientSession) -> None:
    refused = await ask(session, "{{window 20}}" + "word " * 100)
    cut = await ask(session, "{{window 20}}{{deltas 100}}")

    assert (await refused.json())["error"]["message"] == "prompt is too long: 136 tokens > 20 maximum"
    assert (await cut.json())["stop_reason"] == "model_context_window_exceeded"


async def test_body_beyond_32_mib_is_too_large(session: ClientSession) -> None:
    response = await session.post("/v1/messages", data=BytesIO(b"x" * (1 + (32 << 20))), headers=OURS)

    assert response.status == 413
    assert (await response.json())["error"]["type"] == "request_too_large"


async def test_second_request_reads_from_the_prompt_cache(session: ClientSession) -> None:
    system = [{"type": "text", "text": "word " * 2_000, "cache_control": {"type": "ephemeral"}}]

    first, second = [(await (await ask(session, "hi", system=system)).json())["usage"] for _ in range(2)]

    assert first["cache_creation_input_tokens"] == second["cache_read_input_tokens"] > 2_000
    assert first["input_tokens"] == second["input_tokens"] < 10


async def test_numbers_of_the_script_win_over_the_prompt_cache(session: ClientSession) -> None:
    system = [{"type": "text", "text": "word " * 2_000, "cache_control": {"type": "ephemeral"}}]

    answer = await (await ask(session, "hi {{usage input=7 cache_read=5}}", system=system)).json()

    usage = answer["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (7, 5, 0)


async def test_thought_is_taken_back_with_its_signature_alone(session: ClientSession) -> None:
    said = (await (await ask(session, "hi {{think hm}}")).json())["content"]
    others = [{**said[0], "thinking": "another"}, *said[1:]]

    async def go_on(content: Any) -> ClientResponse:
        turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]
        return await ask(session, "", messages=[*turns, {"role": "user", "content": "and?"}])

    assert (await go_on(said)).status == 200
    refused = await go_on(others)
    assert refused.status == 400
    message = (await refused.json())["error"]["message"]
    assert message == "messages.1.content.0: Invalid `signature` in `thinking` block"
