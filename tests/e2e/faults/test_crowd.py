"""Five hundred callers on four workers: everybody is answered, or told when to come back; no key at another's cost."""

import asyncio
import random
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from claude_gateway.claude_code.bundled_cli import bundled_cli
from claude_gateway.demo.upstream import StandIn
from tests.e2e.faults.books import Books
from tests.e2e.faults.callers import End, Outcome, callers
from tests.e2e.faults.gateway import KEY, WORKERS, soaked, warmed
from tests.e2e.faults.load import Load
from tests.e2e.faults.plan import ask

pytestmark = pytest.mark.e2e

CALLERS = 500
KEYS = 4
# One key has most of the callers; the others must not wait for that.
OF_THE_FIRST = 320
LIMITS = {"QUEUE_LIMIT": "100", "QUEUE_TIMEOUT_SECONDS": "250", "MAX_TIMEOUT": "250000"}


async def a_key(state_dir: Path, name: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli", "keys", "create", "--name", name),
        env={"PATH": "/usr/bin:/bin", "HOME": str(state_dir.parent), "STATE_DIR": str(state_dir)},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return said.decode().strip()


@pytest.mark.timeout(300)
async def test_five_hundred_callers_on_four_workers(tmp_path: Path, upstream: StandIn) -> None:
    keys = [await a_key(tmp_path / "state", f"key{number}") for number in range(KEYS)]
    dice = random.Random(500)
    whose = [0] * OF_THE_FIRST + [1 + number % (KEYS - 1) for number in range(CALLERS - OF_THE_FIRST)]
    dice.shuffle(whose)
    ended: dict[int, list[Outcome]] = defaultdict(list)
    served = Counter[str]()
    async with (
        soaked(upstream, tmp_path, bundled_cli(), LIMITS) as gateway,
        callers(gateway.url, patience=400) as crowd,
    ):
        await warmed(gateway)
        load = Load(crowd, upstream, tmp_path, [KEY], Books(gateway.state_dir))

        async def caller(number: int, key: int) -> None:
            outcome = await load.call(ask(dice, f"t5x{number}"), keys[key])
            load.note(outcome)
            ended[key].append(outcome)
            # While all of them compete: each has more there than can run.
            if outcome.end is End.WHOLE and all(crowd.there[key] > WORKERS for key in keys):
                served[keys[key]] += 1

        await asyncio.gather(*(caller(number, key) for number, key in enumerate(whose)))
        counted = [(await crowd.jobs(key))["ok"] for key in keys]
        assert await load.audit() == []
    assert set(load.record.ends) <= {End.WHOLE, End.REFUSED}, load.record.codes
    assert load.record.wrong == []
    # What each key's ledger says is what its callers saw.
    assert counted == [sum(outcome.end is End.WHOLE for outcome in ended[key]) for key in range(KEYS)]
    median = statistics.median(served[key] for key in keys)
    assert median > 0
    assert all(median / 2 <= served[key] <= median * 2 for key in keys), served
