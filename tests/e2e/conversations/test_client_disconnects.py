"""Clients that disconnect and workers that exit: slot and upstream request are released, the next request works."""

import asyncio
import os
import signal
from pathlib import Path
from random import Random

import aiohttp
import openai
import pytest

from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on
from tests.e2e.helpers.processes import find_worker_pids

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ENDLESS_REPLY = "{{deltas 100000}}{{pace 0.01}}"


async def send_and_disconnect_on(event: asyncio.Event, gateway: Gateway, body: dict[str, object]) -> None:
    """Send a request, and disconnect as soon as `event` is set."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        request = asyncio.create_task(session.post(f"{gateway.url}/v1/chat/completions", json=body))
        await event.wait()
        request.cancel()
        await asyncio.wait({request})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("prompt", [ENDLESS_REPLY, "{{hang}}", "{{delay 60}}"], ids=["streaming", "silent", "waiting"])
async def test_client_disconnect_frees_upstream_request_and_worker(gateway: Gateway, prompt: str, stream: bool) -> None:
    async with asyncio.timeout(20):
        disconnect = asyncio.Event()
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": stream}
        request_task = asyncio.create_task(send_and_disconnect_on(disconnect, gateway, body))
        received = await gateway.upstream.wait_for_request(lambda request: not request.ended.is_set())
        disconnect.set()
        await received.disconnected.wait()
        await request_task
        assert await asyncio.gather(*(gateway.stream_text(f"next {n}") for n in range(2))) == ["next 0", "next 1"]


@pytest.mark.promise("cancel.upstream")
async def test_client_disconnect_in_mid_stream_frees_upstream_request_and_worker(gateway: Gateway) -> None:
    async with asyncio.timeout(20):
        stream = await gateway.ask(ENDLESS_REPLY, stream=True)
        await anext(aiter(stream))
        received = await gateway.upstream.wait_for_request()
        await stream.close()
        await received.disconnected.wait()
        assert await gateway.stream_text("next") == "next"


async def wait_for_queued_jobs(gateway: Gateway, jobs: int) -> None:
    """Wait until `jobs` jobs wait for a worker."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{gateway.url}/health/ready") as response:
                if (await response.json())["checks"]["pool"]["queue"]["waiting"] == jobs:
                    return


@pytest.mark.promise("cancel.queued")
async def test_client_that_disconnects_in_the_queue_causes_no_upstream_request(
    gateway: Gateway, tmp_path: Path
) -> None:
    async with asyncio.timeout(30), run_gateway_on(gateway.upstream, tmp_path, chat_workers=1) as narrow:
        busy = await narrow.ask(ENDLESS_REPLY, stream=True)
        await anext(aiter(busy))
        queued = asyncio.create_task(narrow.stream_text("from the queue"))
        await wait_for_queued_jobs(narrow, 1)
        third = asyncio.create_task(narrow.stream_text("behind it"))
        await wait_for_queued_jobs(narrow, 2)
        queued.cancel()
        await wait_for_queued_jobs(narrow, 1)
        await busy.close()
        assert await third == "behind it"
        assert not any("from the queue" in str(request.body) for request in gateway.upstream.chat_requests)


async def test_worker_exit_in_mid_stream_interrupts_the_stream_and_replaces_the_worker(
    gateway: Gateway, tmp_path: Path
) -> None:
    async with asyncio.timeout(30), run_gateway_on(gateway.upstream, tmp_path, chat_workers=1) as fragile:
        before = set(find_worker_pids())
        stream = await fragile.ask(ENDLESS_REPLY, stream=True)
        chunks = aiter(stream)
        await anext(chunks)
        await anext(chunks)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIConnectionError):
            async for _ in chunks:
                pass
        assert await fragile.stream_text("a new worker") == "a new worker"
        assert not before & set(find_worker_pids())


async def test_worker_exit_before_the_first_delta_is_retried_unnoticed(gateway: Gateway, tmp_path: Path) -> None:
    async with asyncio.timeout(30), run_gateway_on(gateway.upstream, tmp_path, chat_workers=1) as fragile:
        victims = find_worker_pids()
        request_task = asyncio.create_task(fragile.stream_text("retried {{delay 0.5}}"))
        await gateway.upstream.wait_for_request()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        assert await request_task == "retried"


async def test_full_queue_rejects_with_a_correct_retry_after(gateway: Gateway, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(30),
        run_gateway_on(gateway.upstream, tmp_path, chat_workers=1, max_queued_jobs=0) as narrow,
    ):
        busy = await narrow.ask(ENDLESS_REPLY, stream=True)
        await anext(aiter(busy))
        with pytest.raises(openai.RateLimitError) as caught:
            await narrow.ask("no room")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        await busy.close()


async def test_job_that_waits_too_long_in_the_queue_is_rejected(gateway: Gateway, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(30),
        run_gateway_on(gateway.upstream, tmp_path, chat_workers=1, queue_timeout_seconds=0.3) as narrow,
    ):
        busy = await narrow.ask(ENDLESS_REPLY, stream=True)
        await anext(aiter(busy))
        with pytest.raises(openai.RateLimitError, match="too long"):
            await narrow.ask("no slot")
        await busy.close()


async def send_and_disconnect_after(turns: int, gateway: Gateway, body: dict[str, object]) -> None:
    """Send a request, and disconnect after `turns` iterations of the event loop, which the gateway shares."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        request = asyncio.create_task(session.post(f"{gateway.url}/v1/chat/completions", json=body))
        for _ in range(turns):
            await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait({request})


def make_random_body(random: Random) -> dict[str, object]:
    """Return a request whose preparation takes many steps: model switch, history, tools, system prompt, limit."""
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "ok"}] * random.choice((0, 1, 2))
    prompts = (
        "{{delay 1}} never mind",
        "{{deltas 500}}{{pace 0.001}}",
        "{{stop max_tokens}} x",
        '{{tool f {"a":1}}} y',
    )
    system = [{"role": "system", "content": f"prompt {random.randrange(3)}"}] * random.choice((0, 1))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    return {
        "model": random.choice((MODEL, MODEL, "claude-opus-4-20250514")),
        "messages": [*system, *history, {"role": "user", "content": random.choice(prompts)}],
        "stream": random.random() < 0.5,
        **({"tools": tools} if random.random() < 0.5 else {}),
        **({"max_tokens": 50} if random.random() < 0.3 else {}),
    }


@pytest.mark.promise("cancel.clean")
async def test_prompt_holds_only_its_own_request_after_clients_disconnected_at_any_moment(gateway: Gateway) -> None:
    random = Random(2026)
    for number in range(8):
        clients = [
            send_and_disconnect_after(random.randrange(400), gateway, make_random_body(random)) for _ in range(12)
        ]
        await asyncio.gather(*clients)
        for question in (f"after {number} {n}" for n in range(4)):
            assert await gateway.stream_text(question) == question
            received = await gateway.upstream.wait_for_request(
                lambda request, question=question: question in str(request.body["messages"])
            )  # type: ignore[misc]
            [message] = received.body["messages"]
            assert [block["text"] for block in message["content"]] == [question]
