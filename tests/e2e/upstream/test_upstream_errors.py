"""An upstream error becomes an HTTP error, or the gateway retries and sends the whole reply once; never chat text."""

from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.e2e.helpers.gateway import Gateway, run_gateway_on
from tests.e2e.helpers.upstream_requests import check_next_request_works

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

STATUSES = {
    400: (400, "invalid_request_error"),
    401: (503, "authentication_error"),
    403: (503, "authentication_error"),
    404: (404, "invalid_request_error"),
    413: (413, "request_too_large"),
    429: (429, "rate_limit_exceeded"),
    500: (502, "api_error"),
    529: (503, "overloaded_error"),
}


@pytest.mark.parametrize("upstream_status", STATUSES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_upstream_status_is_mapped_to_the_client_status(
    gateway: Gateway, upstream_status: int, stream: bool
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await gateway.ask(f"hi {{{{status {upstream_status}}}}}", stream=stream)
    status, type_ = STATUSES[upstream_status]
    assert (caught.value.status_code, caught.value.body["type"]) == (status, type_)  # type: ignore[index]
    if status in (429, 503):
        assert int(caught.value.response.headers["retry-after"]) > 0
    await check_next_request_works(gateway)


@pytest.mark.promise("health.ready")
async def test_readiness_follows_the_upstream_login_state(gateway: Gateway) -> None:
    async def readiness() -> tuple[int, bool]:
        async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/health/ready") as response:
            return response.status, (await response.json())["checks"]["login"]

    with pytest.raises(openai.APIStatusError):
        await gateway.ask("hi {{status 401}}")
    assert await readiness() == (503, False)
    await check_next_request_works(gateway)
    assert await readiness() == (200, True)


async def test_upstream_rate_limit_is_passed_on_at_once_with_its_retry_after(gateway: Gateway) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await gateway.ask("hi {{status 429 retry-after=7}}")
    assert 7 <= int(caught.value.response.headers["retry-after"]) <= 10
    assert len(gateway.upstream.chat_requests) == 1


async def test_upstream_400_keeps_its_message(gateway: Gateway) -> None:
    with pytest.raises(openai.BadRequestError, match="scripted 400"):
        await gateway.ask("hi {{status 400}}")


async def test_upstream_refusal_reveals_nothing_of_the_gateway_host(gateway: Gateway) -> None:
    for status in (401, 500, 529, 404):
        with pytest.raises(openai.APIStatusError) as caught:
            await gateway.ask(f"hi {{{{status {status}}}}}")
        assert "127.0.0.1" not in caught.value.message
        assert "--model" not in caught.value.message


@pytest.mark.promise("stream.upstream-interrupted")
@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("directive", ["drop", "break"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_interrupted_stream_still_gives_the_whole_text_once(
    gateway: Gateway, directive: str, after: int, stream: bool
) -> None:
    prompt = f"one two three four five {{{{{directive} {after}}}}}"
    if stream:
        assert await gateway.stream_text(prompt) == "one two three four five"
    else:
        assert (await gateway.ask(prompt)).choices[0].message.content == "one two three four five"
    await check_next_request_works(gateway)


async def test_reply_that_disconnects_near_the_output_limit_is_completed(gateway: Gateway) -> None:
    response = await gateway.ask("one two three {{drop 2}}{{times 1}}", max_tokens=50)
    assert response.choices[0].message.content == "one two three"


async def test_reply_that_fails_near_the_output_limit_is_retried(gateway: Gateway) -> None:
    response = await gateway.ask("one two three {{break 2}}{{times 1}}", max_tokens=50)
    assert response.choices[0].message.content == "one two three"


async def test_retried_stream_repeats_no_text(gateway: Gateway) -> None:
    assert await gateway.stream_text("a b c d e {{drop 3}}{{times 1}}") == "a b c d e"


async def test_interruption_after_a_finished_block_is_retried_without_streaming(gateway: Gateway) -> None:
    response = await gateway.ask("a b c {{think hm}}{{break 1}}{{times 1}}")
    assert response.choices[0].message.content == "a b c"


async def test_interruption_after_a_finished_block_ends_the_stream(gateway: Gateway) -> None:
    stream = await gateway.ask("a b c {{think hm}}{{break 1}}{{times 1}}", stream=True)
    with pytest.raises(openai.APIConnectionError):
        async for _ in stream:
            pass
    await check_next_request_works(gateway)


@pytest.mark.promise("chat.finish-reason")
@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_stop_reason_becomes_a_finish_reason_for_one_upstream_request(
    gateway: Gateway, reason: str, finish_reason: str, stream: bool
) -> None:
    # Every real reply has a pause between its head and its end.
    prompt = f"one two {{{{silence 0.1}}}}{{{{stop {reason}}}}}"
    if stream:
        chunks = [chunk async for chunk in await gateway.ask(prompt, stream=True, max_tokens=10)]
        assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == [finish_reason]
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "one two"
    else:
        choice = (await gateway.ask(prompt, max_tokens=10)).choices[0]
        assert (choice.finish_reason, choice.message.content) == (finish_reason, "one two")
    await check_next_request_works(gateway)
    assert len(gateway.upstream.chat_requests) == 2


async def test_long_reply_at_the_default_limit_is_not_continued(gateway: Gateway) -> None:
    prompt = "{{deltas 2000}}{{stop max_tokens}}"
    response = await gateway.ask(prompt)
    assert response.choices[0].finish_reason == "length"
    await check_next_request_works(gateway)
    assert len(gateway.upstream.chat_requests) == 2


@pytest.mark.promise("limits.time")
async def test_hanging_upstream_is_a_504_and_its_request_is_closed(gateway: Gateway, tmp_path: Path) -> None:
    async with run_gateway_on(gateway.upstream, tmp_path, max_timeout=1_500, chat_workers=1) as gateway_with_timeout:
        with pytest.raises(openai.APIStatusError) as caught:
            await gateway_with_timeout.ask("hi {{hang}}")
        assert caught.value.status_code == 504
        received = await gateway.upstream.wait_for_request()
        await received.disconnected.wait()
        await check_next_request_works(gateway_with_timeout)


async def test_hanging_stream_ends_with_an_error_event(gateway: Gateway, tmp_path: Path) -> None:
    async with run_gateway_on(gateway.upstream, tmp_path, max_timeout=1_500, chat_workers=1) as gateway_with_timeout:
        stream = await gateway_with_timeout.ask("hi {{hang}}", stream=True)
        with pytest.raises(openai.APIError, match="too long"):
            async for _ in stream:
                pass


async def test_reply_of_20_mb_is_forwarded_whole(gateway: Gateway) -> None:
    response: Any = await gateway.ask("{{big 20000000}}")
    assert len(response.choices[0].message.content) == 20_000_000
    await check_next_request_works(gateway)
