"""Memory runs out for one job with built-in tools, and for one process of a busy machine: other jobs continue."""

import asyncio
import os
import random
import signal
from itertools import islice
from pathlib import Path

import psutil
import pytest

from claude_gateway.claude_code.binary import find_bundled_binary
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.faults.gateway import API_KEY, WORKER_COUNT, run_monitored_gateway, wait_all_workers_ready
from tests.e2e.faults.gateway_database import GatewayDatabase
from tests.e2e.faults.load import LoadRunner
from tests.e2e.faults.load_clients import CONNECTION_BROKEN, RequestEnd, create_clients
from tests.e2e.faults.plan import FaultOdds, LoadPlan, make_request, make_tool_request
from tests.installed import SANDBOX_PROGRAMS, require_programs

pytestmark = pytest.mark.e2e

MEMORY_LIMITS = {"MAX_AGENT_MEMORY_MIB": "700", "AGENT_WORKERS": "2", "MAX_TIMEOUT": "60000"}
# The processes together exceed the limit, though none of them does so alone.
MEMORY_HOG = "python3 -c \"import os, time; os.fork(); os.fork(); x = b'x' * (400 << 20); time.sleep(50)\""
NO_FAULTS = FaultOdds(0, 0, 0, 0, 0, 0, 0, session=0)


@pytest.mark.promise("faults.memory")
async def test_job_over_its_memory_limit_ends_once_and_alone(tmp_path: Path, upstream: FakeAnthropic) -> None:
    require_programs(SANDBOX_PROGRAMS)
    rng = random.Random(5)
    async with (
        run_monitored_gateway(upstream, tmp_path, find_bundled_binary(), MEMORY_LIMITS) as gateway,
        create_clients(gateway.url) as clients,
    ):
        await wait_all_workers_ready(gateway)
        load = LoadRunner(clients, upstream, tmp_path, [API_KEY], GatewayDatabase(gateway.state_dir))
        greedy = asyncio.create_task(load.send(make_tool_request(rng, "t5x0", MEMORY_HOG, fault="hog"), API_KEY))
        modest = asyncio.create_task(load.send(make_tool_request(rng, "t5x1", "sleep 2; echo done"), API_KEY))
        load_until_then = load.run(iter(LoadPlan(55, NO_FAULTS)), 4, lambda: not (greedy.done() and modest.done()))
        async with asyncio.timeout(100):
            await load_until_then
        for outcome in (await greedy, await modest):
            load.record_outcome(outcome)
        later = await load.send(make_tool_request(rng, "t5x2", "echo more"), API_KEY)
        load.record_outcome(later)
        assert (greedy.result().status, greedy.result().detail) == (413, "memory_limit_exceeded")
        assert (modest.result().end, later.end) == (RequestEnd.COMPLETE, RequestEnd.COMPLETE), (modest.result(), later)
        assert load.record.count_ends(RequestEnd.COMPLETE) == load.record.request_count - 1 > 10
        assert (load.record.problems, await load.check_usage()) == ([], [])
    assert load.record.usage_result_counts == {"ok": load.record.request_count - 1, "memory_limit_exceeded": 1}


async def test_worker_killed_by_the_kernel_for_memory_costs_at_most_one_reply(
    tmp_path: Path, upstream: FakeAnthropic
) -> None:
    rng = random.Random(6)
    async with (
        run_monitored_gateway(upstream, tmp_path, find_bundled_binary()) as gateway,
        create_clients(gateway.url) as clients,
    ):
        await wait_all_workers_ready(gateway)
        baseline = await gateway.count_resources()
        load = LoadRunner(clients, upstream, tmp_path, [API_KEY], GatewayDatabase(gateway.state_dir))
        planned = [
            make_request(rng, f"t6x{number}", upstream_fault="{{pace 0.1}}", min_words=30)
            for number in range(WORKER_COUNT)
        ]
        sending = [asyncio.create_task(load.send(plan, API_KEY)) for plan in planned]
        for plan in planned:
            await upstream.wait_for_request(lambda request, plan=plan: plan.token in str(request.body["messages"]))
        # The kernel kills the largest process without a warning.
        largest = max(psutil.Process(gateway.process.pid).children(), key=lambda process: process.memory_info().rss)
        os.kill(largest.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(*sending)
            for outcome in outcomes:
                load.record_outcome(outcome)
            # Another process replaces it, and later clients notice nothing.
            await load.run(islice(iter(LoadPlan(66, NO_FAULTS)), 12), 4, lambda: True)
        incomplete = [outcome for outcome in outcomes if outcome.end is not RequestEnd.COMPLETE]
        assert [(outcome.end, outcome.detail) for outcome in incomplete] in (
            [],
            [(RequestEnd.FAILED, CONNECTION_BROKEN.decode())],
        )
        assert load.record.problems == []
        assert (await gateway.wait_for_release(baseline)).find_increases(baseline) == []
        assert await load.check_usage() == []
