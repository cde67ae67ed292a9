"""Groups of API keys: the keys of a group share processes, and their conversations stay apart."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import Gateway, run_gateway_on
from tests.e2e.helpers.key_clients import create_client, request_admin
from tests.e2e.helpers.metrics import count_reused_histories
from tests.e2e.helpers.processes import find_worker_pids, wait_until
from tests.e2e.helpers.upstream_requests import read_system_texts, read_turns

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOOLS: Any = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]
SLOW_REPLY = "{{pace 0.02}}{{deltas 100}} slow"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def single_process_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    """Run a gateway that has room for one process, so that keys that share no process take it from each other."""
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(
            upstream,
            tmp_path_factory.mktemp("state"),
            chat_workers=1,
            max_chat_processes=1,
            agent_spare_workers=0,
        ) as running,
    ):
        yield running


@pytest.mark.promise("isolation.group")
async def test_keys_of_a_group_share_a_process_but_no_conversation(single_process_gateway: Gateway) -> None:
    gateway = single_process_gateway
    first, second = await create_client(gateway, "family"), await create_client(gateway, "family")
    reply = await first.ask({"role": "system", "content": "SECRET-SYSTEM"}, "SECRET-QUESTION", tools=TOOLS, stop=["no"])
    processes = find_worker_pids()
    gateway.upstream.clear()

    await second.ask("hello")

    assert find_worker_pids() == processes
    (request,) = gateway.upstream.chat_requests
    assert read_turns(request.body) == [("user", ["hello"])]
    assert (read_system_texts(request.body), request.body["tools"]) == ([], [])
    assert all(b"SECRET" not in upstream_request.raw for upstream_request in gateway.upstream.requests)
    assert "SECRET-QUESTION" in reply


async def test_key_does_not_continue_the_same_conversation_of_another_key_of_its_group(
    single_process_gateway: Gateway,
) -> None:
    gateway = single_process_gateway
    first, second = await create_client(gateway, "family"), await create_client(gateway, "family")
    history: list[dict[str, Any] | str] = ["shared question"]
    history.append({"role": "assistant", "content": await first.ask(*history)})
    before = await count_reused_histories(gateway)

    await second.ask(*history, "and on")

    assert second.turns() == [
        ("user", ["shared question"]),
        ("assistant", [history[1]["content"]]),  # type: ignore[index]
        ("user", ["and on"]),
    ]
    assert await count_reused_histories(gateway) == before
    await second.ask(*history, "and on", {"role": "assistant", "content": "and on"}, "further")
    assert await count_reused_histories(gateway) == before + 1


@pytest.mark.parametrize("group", [None, "team"])
async def test_key_outside_a_group_has_a_process_of_its_own(single_process_gateway: Gateway, group: str | None) -> None:
    gateway = single_process_gateway
    member, other = await create_client(gateway, "family"), await create_client(gateway, group)
    await member.ask("SECRET")
    processes = set(find_worker_pids())
    gateway.upstream.clear()

    await other.ask("hello")

    await wait_until(lambda: not processes & set(find_worker_pids()))
    assert other.turns() == [("user", ["hello"])]
    assert all(b"SECRET" not in request.raw for request in gateway.upstream.requests)


async def test_key_without_a_group_keeps_its_process_to_itself_even_if_a_group_has_its_id(
    single_process_gateway: Gateway,
) -> None:
    gateway = single_process_gateway
    alone = await create_client(gateway, None)
    await alone.ask("hello")
    processes = set(find_worker_pids())

    await (await create_client(gateway, alone.id)).ask("hello")

    await wait_until(lambda: not processes & set(find_worker_pids()))


async def test_running_job_ends_normally_and_the_next_one_uses_the_new_group(single_process_gateway: Gateway) -> None:
    gateway = single_process_gateway
    key, member = await create_client(gateway, "family"), await create_client(gateway, "team")
    stream = await key.gateway.ask(SLOW_REPLY, stream=True)
    finish_reasons: list[str | None] = []
    async for chunk in stream:
        if not finish_reasons:
            processes = find_worker_pids()
            await request_admin(gateway, f"keys/{key.id}", {"group": "team"})
        finish_reasons += [choice.finish_reason for choice in chunk.choices]
    assert finish_reasons[-1] == "stop"
    assert find_worker_pids() == processes

    await key.ask("hello")
    await wait_until(lambda: not set(processes) & set(find_worker_pids()))
    processes_of_team = find_worker_pids()
    await member.ask("hello")
    assert find_worker_pids() == processes_of_team


async def test_continued_conversation_leaves_the_process_of_the_group_with_its_key(
    single_process_gateway: Gateway,
) -> None:
    gateway = single_process_gateway
    key = await create_client(gateway, "family")
    history: list[dict[str, Any] | str] = ["question"]
    history.append({"role": "assistant", "content": await key.ask(*history)})
    processes = set(find_worker_pids())
    await request_admin(gateway, f"keys/{key.id}", {"group": None})

    await key.ask(*history, "and on")

    await wait_until(lambda: not processes & set(find_worker_pids()))
    assert [role for role, _ in key.turns()] == ["user", "assistant", "user"]
