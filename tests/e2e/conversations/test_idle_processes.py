"""Processes that stay with their conversations between two jobs, and end when no client sends requests."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, run_fake_anthropic
from tests.e2e.helpers.client_tools import build_chat_tool
from tests.e2e.helpers.gateway import Gateway, run_gateway_on
from tests.e2e.helpers.key_clients import KeyClient, create_client
from tests.e2e.helpers.metrics import count_chat_starts, count_reused_histories, sum_metric, wait_for_metric

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Messages = list[dict[str, Any] | str]
TOOLS: Any = [build_chat_tool("f", {"type": "object"})]
CALL = '{{tool f {"a":1}}}'
WORKERS = 2
# Processes for four keys, and the spares that start while the four keys take them.
MAX_PROCESSES = 8


@pytest_asyncio.fixture(loop_scope="module")
async def two_job_gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """Run a gateway with two jobs at the same time and more processes."""
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(
            upstream,
            tmp_path,
            chat_workers=WORKERS,
            chat_spare_workers=1,
            max_chat_processes=MAX_PROCESSES,
            max_upstream_retries=0,
        ) as running,
    ):
        yield running


async def wait_until_no_process_starts(gateway: Gateway) -> None:
    await wait_for_metric(gateway, 0, "workers", pool="chat", phase="starting")


async def take_turn(client: KeyClient, history: Messages, text: str) -> None:
    """Ask with the whole history, check that the model sees exactly the history, and add the exchange to it."""
    history.append(text)
    reply = await client.ask(*history)
    turns = [("user", [turn]) if isinstance(turn, str) else ("assistant", [turn["content"]]) for turn in history]
    assert client.turns() == turns
    history.append({"role": "assistant", "content": reply})


async def call_tool(gateway: Gateway, history: Messages, result: str) -> None:
    """Ask for a tool call, and add the call and its result to the history."""
    completion = await gateway.ask(*history, tools=TOOLS)
    message = completion.choices[0].message
    history.append(message.model_dump(exclude_none=True))
    history.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": result})


def read_roles(gateway: Gateway) -> list[str]:
    return [message["role"] for message in gateway.upstream.chat_requests[-1].body["messages"]]


@pytest.mark.promise("pool.keys-in-turn")
async def test_four_keys_in_turn_on_two_workers_start_no_process_after_the_first_round(
    two_job_gateway: Gateway,
) -> None:
    gateway = two_job_gateway
    histories: dict[KeyClient, Messages] = {await create_client(gateway, None): [] for _ in range(4)}
    for client, history in histories.items():
        await take_turn(client, history, f"begin {client.id}")
    await wait_until_no_process_starts(gateway)
    starts, reused = await count_chat_starts(gateway), await count_reused_histories(gateway)

    for number in range(3):
        for client, history in histories.items():
            await take_turn(client, history, f"turn {number} of {client.id}")

    assert await count_chat_starts(gateway) == starts
    assert await count_reused_histories(gateway) == reused + 12
    assert await sum_metric(gateway, "max_workers", pool="chat") == MAX_PROCESSES
    assert await sum_metric(gateway, "workers", pool="chat") <= MAX_PROCESSES


async def test_fast_tool_result_stays_in_the_process_of_the_call(two_job_gateway: Gateway) -> None:
    gateway = two_job_gateway
    history: Messages = [f"go {CALL}"]
    await call_tool(gateway, history, f"first {CALL}")
    await wait_until_no_process_starts(gateway)
    starts, reused = await count_chat_starts(gateway), await count_reused_histories(gateway)
    gateway.upstream.clear()

    for number in range(10):
        await call_tool(gateway, history, f"result {number} {CALL}")
        assert read_roles(gateway) == ["user", "assistant"] * (number + 1) + ["user"]

    assert await count_reused_histories(gateway) == reused + 10
    assert await count_chat_starts(gateway) == starts
    assert len(gateway.upstream.chat_requests) == 10


async def test_tool_results_that_are_sent_again_after_an_overload_stay_in_the_process(two_job_gateway: Gateway) -> None:
    gateway = two_job_gateway
    history: Messages = [f"go {CALL}"]
    await call_tool(gateway, history, "failed once {{status 529}}{{times 1}}")
    await wait_until_no_process_starts(gateway)
    starts, reused = await count_chat_starts(gateway), await count_reused_histories(gateway)
    with pytest.raises(openai.APIStatusError):
        await gateway.ask(*history, tools=TOOLS)
    request_count = len(gateway.upstream.chat_requests)

    completion = await gateway.ask(*history, tools=TOOLS)

    assert completion.choices[0].finish_reason == "stop"
    assert read_roles(gateway) == ["user", "assistant", "user"]
    (request,) = gateway.upstream.chat_requests[request_count:]
    assert request.raw.count(b"failed once") == 1
    assert await count_reused_histories(gateway) == reused + 2
    assert await count_chat_starts(gateway) == starts


@pytest.mark.promise("pool.idle")
@pytest.mark.parametrize("spares", [0, 1])
async def test_idle_processes_end_except_for_the_spares_and_the_next_request_works(tmp_path: Path, spares: int) -> None:
    upstream: FakeAnthropic
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(
            upstream,
            tmp_path,
            chat_workers=WORKERS,
            chat_spare_workers=spares,
            max_chat_processes=MAX_PROCESSES,
            chat_process_idle_seconds=1.5,
        ) as gateway,
    ):
        histories: dict[KeyClient, Messages] = {await create_client(gateway, None): [] for _ in range(3)}
        for client, history in histories.items():
            await take_turn(client, history, "begin")

        await wait_for_metric(gateway, spares, "workers", pool="chat")
        assert await sum_metric(gateway, "worker_exits_total", reason="idle") >= 3
        async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/health/ready") as response:
            assert response.status == 200

        for client, history in histories.items():
            await take_turn(client, history, "and on")
