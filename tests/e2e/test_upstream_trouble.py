"""Trouble upstream becomes an HTTP error, or the whole answer once; never chat text, never a polite 200."""

from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.e2e.conftest import Gateway, gateway_on

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


async def next_request_works(gateway: Gateway) -> None:
    assert await gateway.stream_text("still there") == "still there"


@pytest.mark.parametrize("upstream_status", STATUSES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_upstream_status_becomes_ours(gateway: Gateway, upstream_status: int, stream: bool) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await gateway.ask(f"hi {{{{status {upstream_status}}}}}", stream=stream)
    status, type_ = STATUSES[upstream_status]
    assert (caught.value.status_code, caught.value.body["type"]) == (status, type_)  # type: ignore[index]
    if status in (429, 503):
        assert int(caught.value.response.headers["retry-after"]) > 0
    await next_request_works(gateway)


@pytest.mark.promise("health.ready")
async def test_readiness_follows_what_the_upstream_says_of_the_login(gateway: Gateway) -> None:
    async def readiness() -> tuple[int, bool]:
        async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/health/ready") as answer:
            return answer.status, (await answer.json())["checks"]["login"]

    with pytest.raises(openai.APIStatusError):
        await gateway.ask("hi {{status 401}}")
    assert await readiness() == (503, False)
    await next_request_works(gateway)
    assert await readiness() == (200, True)


async def test_a_rate_limit_is_passed_on_at_once_with_the_upstream_s_own_wait(gateway: Gateway) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await gateway.ask("hi {{status 429 retry-after=7}}")
    assert 7 <= int(caught.value.response.headers["retry-after"]) <= 10
    assert len(gateway.upstream.chats) == 1


async def test_a_400_says_what_the_upstream_said(gateway: Gateway) -> None:
    with pytest.raises(openai.BadRequestError, match="scripted 400"):
        await gateway.ask("hi {{status 400}}")


async def test_a_refusal_upstream_tells_nothing_of_the_gateway_s_own_host(gateway: Gateway) -> None:
    for status in (401, 500, 529, 404):
        with pytest.raises(openai.APIStatusError) as caught:
            await gateway.ask(f"hi {{{{status {status}}}}}")
        assert "127.0.0.1" not in caught.value.message
        assert "--model" not in caught.value.message


@pytest.mark.promise("stream.broken-upstream")
@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("directive", ["drop", "break"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_broken_stream_still_gives_the_whole_text_once(
    gateway: Gateway, directive: str, after: int, stream: bool
) -> None:
    prompt = f"one two three four five {{{{{directive} {after}}}}}"
    if stream:
        assert await gateway.stream_text(prompt) == "one two three four five"
    else:
        assert (await gateway.ask(prompt)).choices[0].message.content == "one two three four five"
    await next_request_works(gateway)


async def test_an_answer_that_drops_near_the_output_limit_is_completed_too(gateway: Gateway) -> None:
    answer = await gateway.ask("one two three {{drop 2}}{{times 1}}", max_tokens=50)
    assert answer.choices[0].message.content == "one two three"


async def test_an_answer_that_breaks_near_the_output_limit_is_asked_for_again(gateway: Gateway) -> None:
    answer = await gateway.ask("one two three {{break 2}}{{times 1}}", max_tokens=50)
    assert answer.choices[0].message.content == "one two three"


async def test_a_stream_that_broke_once_and_comes_again_is_not_repeated(gateway: Gateway) -> None:
    assert await gateway.stream_text("a b c d e {{drop 3}}{{times 1}}") == "a b c d e"


async def test_a_break_behind_a_finished_block_is_retried_where_nobody_saw_it(gateway: Gateway) -> None:
    answer = await gateway.ask("a b c {{think hm}}{{break 1}}{{times 1}}")
    assert answer.choices[0].message.content == "a b c"


async def test_a_break_behind_a_finished_block_breaks_the_stream_off(gateway: Gateway) -> None:
    stream = await gateway.ask("a b c {{think hm}}{{break 1}}{{times 1}}", stream=True)
    with pytest.raises(openai.APIConnectionError):
        async for _ in stream:
            pass
    await next_request_works(gateway)


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
    # The pause is what every real answer has between its head and its end.
    prompt = f"one two {{{{silence 0.1}}}}{{{{stop {reason}}}}}"
    if stream:
        chunks = [chunk async for chunk in await gateway.ask(prompt, stream=True, max_tokens=10)]
        assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == [finish_reason]
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "one two"
    else:
        choice = (await gateway.ask(prompt, max_tokens=10)).choices[0]
        assert (choice.finish_reason, choice.message.content) == (finish_reason, "one two")
    await next_request_works(gateway)
    assert len(gateway.upstream.chats) == 2


async def test_a_long_answer_that_reaches_the_usual_limit_is_not_continued_either(gateway: Gateway) -> None:
    prompt = "{{deltas 2000}}{{stop max_tokens}}"
    answer = await gateway.ask(prompt)
    assert answer.choices[0].finish_reason == "length"
    await next_request_works(gateway)
    assert len(gateway.upstream.chats) == 2


@pytest.mark.promise("limits.time")
async def test_a_hang_ends_in_504_and_frees_the_upstream(gateway: Gateway, tmp_path: Path) -> None:
    async with gateway_on(gateway.upstream, tmp_path, max_timeout=1_500, chat_workers=1) as impatient:
        with pytest.raises(openai.APIStatusError) as caught:
            await impatient.ask("hi {{hang}}")
        assert caught.value.status_code == 504
        received = await gateway.upstream.arrived()
        await received.left.wait()
        await next_request_works(impatient)


async def test_a_hang_in_a_stream_ends_in_an_error_event(gateway: Gateway, tmp_path: Path) -> None:
    async with gateway_on(gateway.upstream, tmp_path, max_timeout=1_500, chat_workers=1) as impatient:
        stream = await impatient.ask("hi {{hang}}", stream=True)
        with pytest.raises(openai.APIError, match="too long"):
            async for _ in stream:
                pass


async def test_a_line_of_twenty_megabytes_comes_through(gateway: Gateway) -> None:
    answer: Any = await gateway.ask("{{big 20000000}}")
    assert len(answer.choices[0].message.content) == 20_000_000
    await next_request_works(gateway)
