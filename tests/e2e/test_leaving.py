"""Callers who leave, workers that die: the slot comes free, the upstream is let go, the next request works."""

import asyncio
import os
import signal
from pathlib import Path
from random import Random

import aiohttp
import openai
import pytest

from tests.e2e.conftest import API_KEY, MODEL, Gateway, gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ENDLESS = "{{deltas 100000}}{{pace 0.01}}"


def worker_pids() -> list[int]:
    """The claude processes that this test process started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if "claude" in Path(f"/proc/{pid}/cmdline").read_text()]


async def leave_when(event: asyncio.Event, gateway: Gateway, body: dict[str, object]) -> None:
    """Send a request and cut its connection as soon as `event` is set."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        request = asyncio.create_task(session.post(f"{gateway.url}/v1/chat/completions", json=body))
        await event.wait()
        request.cancel()
        await asyncio.wait({request})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("prompt", [ENDLESS, "{{hang}}", "{{delay 60}}"], ids=["streaming", "silent", "waiting"])
async def test_a_caller_who_leaves_frees_upstream_and_worker(gateway: Gateway, prompt: str, stream: bool) -> None:
    async with asyncio.timeout(20):
        left = asyncio.Event()
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": stream}
        leaving = asyncio.create_task(leave_when(left, gateway, body))
        received = await gateway.upstream.arrived(lambda request: not request.ended.is_set())
        left.set()
        await received.left.wait()
        await leaving
        assert await asyncio.gather(*(gateway.stream_text(f"next {n}") for n in range(2))) == ["next 0", "next 1"]


@pytest.mark.promise("cancel.upstream")
async def test_a_caller_who_leaves_in_mid_stream_frees_upstream_and_worker(gateway: Gateway) -> None:
    async with asyncio.timeout(20):
        stream = await gateway.ask(ENDLESS, stream=True)
        await anext(aiter(stream))
        received = await gateway.upstream.arrived()
        await stream.close()
        await received.left.wait()
        assert await gateway.stream_text("next") == "next"


async def waiting(gateway: Gateway, jobs: int) -> None:
    """Return when so many jobs wait for a worker."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{gateway.url}/health/ready") as response:
                if (await response.json())["checks"]["pool"]["queue"]["waiting"] == jobs:
                    return


@pytest.mark.promise("cancel.queued")
async def test_a_caller_who_leaves_the_queue_is_never_asked_upstream(gateway: Gateway, tmp_path: Path) -> None:
    async with asyncio.timeout(30), gateway_on(gateway.upstream, tmp_path, chat_workers=1) as narrow:
        busy = await narrow.ask(ENDLESS, stream=True)
        await anext(aiter(busy))
        queued = asyncio.create_task(narrow.stream_text("from the queue"))
        await waiting(narrow, 1)
        third = asyncio.create_task(narrow.stream_text("behind it"))
        await waiting(narrow, 2)
        queued.cancel()
        await waiting(narrow, 1)
        await busy.close()
        assert await third == "behind it"
        assert not any("from the queue" in str(request.body) for request in gateway.upstream.chats)


async def test_a_worker_that_dies_in_mid_stream_breaks_it_off_and_is_replaced(gateway: Gateway, tmp_path: Path) -> None:
    async with asyncio.timeout(30), gateway_on(gateway.upstream, tmp_path, chat_workers=1) as fragile:
        before = set(worker_pids())
        stream = await fragile.ask(ENDLESS, stream=True)
        chunks = aiter(stream)
        await anext(chunks)
        await anext(chunks)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIConnectionError):
            async for _ in chunks:
                pass
        assert await fragile.stream_text("a new worker") == "a new worker"
        assert not before & set(worker_pids())


async def test_a_worker_that_dies_before_its_first_word_goes_unnoticed(gateway: Gateway, tmp_path: Path) -> None:
    async with asyncio.timeout(30), gateway_on(gateway.upstream, tmp_path, chat_workers=1) as fragile:
        victims = worker_pids()
        asking = asyncio.create_task(fragile.stream_text("patience {{delay 0.5}}"))
        await gateway.upstream.arrived()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        assert await asking == "patience"


async def test_a_full_queue_refuses_with_a_true_wait(gateway: Gateway, tmp_path: Path) -> None:
    async with asyncio.timeout(30), gateway_on(gateway.upstream, tmp_path, chat_workers=1, queue_limit=0) as narrow:
        busy = await narrow.ask(ENDLESS, stream=True)
        await anext(aiter(busy))
        with pytest.raises(openai.RateLimitError) as caught:
            await narrow.ask("no room")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        await busy.close()


async def test_a_late_queue_refuses(gateway: Gateway, tmp_path: Path) -> None:
    async with (
        asyncio.timeout(30),
        gateway_on(gateway.upstream, tmp_path, chat_workers=1, queue_timeout_seconds=0.3) as narrow,
    ):
        busy = await narrow.ask(ENDLESS, stream=True)
        await anext(aiter(busy))
        with pytest.raises(openai.RateLimitError, match="too long"):
            await narrow.ask("no turn")
        await busy.close()


async def leave_after(turns: int, gateway: Gateway, body: dict[str, object]) -> None:
    """Send a request and cut its connection after so many turns of the event loop, which the gateway shares."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        request = asyncio.create_task(session.post(f"{gateway.url}/v1/chat/completions", json=body))
        for _ in range(turns):
            await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait({request})


def odd_bodies(random: Random) -> dict[str, object]:
    """A request whose preparation has many steps: another model, a history, tools, a system prompt, a limit."""
    past = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "ok"}] * random.choice((0, 1, 2))
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
        "messages": [*system, *past, {"role": "user", "content": random.choice(prompts)}],
        "stream": random.random() < 0.5,
        **({"tools": tools} if random.random() < 0.5 else {}),
        **({"max_tokens": 50} if random.random() < 0.3 else {}),
    }


@pytest.mark.promise("cancel.clean")
async def test_behind_clients_that_leave_at_any_moment_a_prompt_holds_only_what_was_sent(gateway: Gateway) -> None:
    random = Random(2026)
    for number in range(8):
        leavers = [leave_after(random.randrange(400), gateway, odd_bodies(random)) for _ in range(12)]
        await asyncio.gather(*leavers)
        for question in (f"after {number} {n}" for n in range(4)):
            assert await gateway.stream_text(question) == question
            received = await gateway.upstream.arrived(lambda one, asked=question: asked in str(one.body["messages"]))  # type: ignore[misc]
            [message] = received.body["messages"]
            assert [block["text"] for block in message["content"]] == [question]
