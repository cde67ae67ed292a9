"""Memory runs out: for one job of Claude's own tools, and for one process of a busy machine. The others go on."""

import asyncio
import os
import random
import signal
from itertools import islice
from pathlib import Path

import psutil
import pytest

from claude_gateway.claude_code.bundled_cli import bundled_cli
from claude_gateway.demo.upstream import StandIn
from tests.e2e.faults.books import Books
from tests.e2e.faults.callers import BROKEN_OFF, End, callers
from tests.e2e.faults.gateway import KEY, WORKERS, soaked, warmed
from tests.e2e.faults.load import Load
from tests.e2e.faults.plan import Odds, Plan, ask, working_ask
from tests.installed import SANDBOX, need

pytestmark = pytest.mark.e2e

TIGHT = {"AGENT_MEMORY_MIB": "700", "AGENT_WORKERS": "2", "MAX_TIMEOUT": "60000"}
# More than that together, though no process of it has more than it may.
HOG = "python3 -c \"import os, time; os.fork(); os.fork(); x = b'x' * (400 << 20); time.sleep(50)\""
NOTHING_WRONG = Odds(0, 0, 0, 0, 0, 0, 0, session=0)


@pytest.mark.promise("faults.memory")
async def test_a_job_that_takes_more_memory_than_it_may_ends_once_and_alone(tmp_path: Path, upstream: StandIn) -> None:
    need(SANDBOX)
    dice = random.Random(5)
    async with soaked(upstream, tmp_path, bundled_cli(), TIGHT) as gateway, callers(gateway.url) as crowd:
        await warmed(gateway)
        load = Load(crowd, upstream, tmp_path, [KEY], Books(gateway.state_dir))
        greedy = asyncio.create_task(load.call(working_ask(dice, "t5x0", HOG, fault="hog"), KEY))
        modest = asyncio.create_task(load.call(working_ask(dice, "t5x1", "sleep 2; echo done"), KEY))
        load_until_then = load.run(iter(Plan(55, NOTHING_WRONG)), 4, lambda: not (greedy.done() and modest.done()))
        async with asyncio.timeout(100):
            await load_until_then
        for outcome in (await greedy, await modest):
            load.note(outcome)
        again = await load.call(working_ask(dice, "t5x2", "echo more"), KEY)
        load.note(again)
        assert (greedy.result().status, greedy.result().detail) == (413, "session_memory_full")
        assert (modest.result().end, again.end) == (End.WHOLE, End.WHOLE), (modest.result(), again)
        assert load.record.count(End.WHOLE) == load.record.requests - 1 > 10
        assert (load.record.wrong, await load.audit()) == ([], [])
    assert load.record.booked == {"ok": load.record.requests - 1, "memory_full": 1}


async def test_a_worker_that_the_kernel_kills_for_memory_costs_one_answer_at_most(
    tmp_path: Path, upstream: StandIn
) -> None:
    dice = random.Random(6)
    async with soaked(upstream, tmp_path, bundled_cli()) as gateway, callers(gateway.url) as crowd:
        await warmed(gateway)
        before = await gateway.holds()
        load = Load(crowd, upstream, tmp_path, [KEY], Books(gateway.state_dir))
        asks = [ask(dice, f"t6x{number}", upstream="{{pace 0.1}}", words_at_least=30) for number in range(WORKERS)]
        asking = [asyncio.create_task(load.call(one, KEY)) for one in asks]
        for one in asks:
            await upstream.arrived(lambda request, one=one: one.token in str(request.body["messages"]))
        # As the kernel does it: one process, the largest, without a word.
        largest = max(psutil.Process(gateway.process.pid).children(), key=lambda each: each.memory_info().rss)
        os.kill(largest.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(*asking)
            for outcome in outcomes:
                load.note(outcome)
            # Its place is taken by another, and nobody notices.
            await load.run(islice(iter(Plan(66, NOTHING_WRONG)), 12), 4, lambda: True)
        hurt = [outcome for outcome in outcomes if outcome.end is not End.WHOLE]
        assert [(each.end, each.detail) for each in hurt] in ([], [(End.FAILED, BROKEN_OFF.decode())])
        assert load.record.wrong == []
        assert (await gateway.held_at_last(before)).exceeds(before) == []
        assert await load.audit() == []
