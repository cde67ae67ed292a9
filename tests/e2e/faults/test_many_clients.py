"""Five hundred clients share four workers: each gets a reply or a time to retry, and no key slows down another."""

import asyncio
import random
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from claude_gateway.claude_code.binary import find_bundled_binary
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.faults.gateway import API_KEY, WORKER_COUNT, run_monitored_gateway, wait_all_workers_ready
from tests.e2e.faults.gateway_database import GatewayDatabase
from tests.e2e.faults.load import LoadRunner
from tests.e2e.faults.load_clients import Outcome, RequestEnd, create_clients
from tests.e2e.faults.plan import make_request

pytestmark = pytest.mark.e2e

CLIENT_COUNT = 500
KEY_COUNT = 4
# Most of the clients use the first key; the clients of the other keys must not wait for them.
FIRST_KEY_CLIENT_COUNT = 320
LIMITS = {"MAX_QUEUED_JOBS": "100", "QUEUE_TIMEOUT_SECONDS": "250", "MAX_TIMEOUT": "250000"}


async def create_key(state_dir: Path, name: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_gateway.cli.main", "keys", "create", "--name", name),
        env={"PATH": "/usr/bin:/bin", "HOME": str(state_dir.parent), "STATE_DIR": str(state_dir)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode().strip()


@pytest.mark.timeout(300)
async def test_five_hundred_clients_share_four_workers(tmp_path: Path, upstream: FakeAnthropic) -> None:
    keys = [await create_key(tmp_path / "state", f"key{number}") for number in range(KEY_COUNT)]
    rng = random.Random(500)
    key_of_client = [0] * FIRST_KEY_CLIENT_COUNT + [
        1 + number % (KEY_COUNT - 1) for number in range(CLIENT_COUNT - FIRST_KEY_CLIENT_COUNT)
    ]
    rng.shuffle(key_of_client)
    outcomes_by_key: dict[int, list[Outcome]] = defaultdict(list)
    served_counts = Counter[str]()
    async with (
        run_monitored_gateway(upstream, tmp_path, find_bundled_binary(), LIMITS) as gateway,
        create_clients(gateway.url, timeout_seconds=400) as clients,
    ):
        await wait_all_workers_ready(gateway)
        load = LoadRunner(clients, upstream, tmp_path, [API_KEY], GatewayDatabase(gateway.state_dir))

        async def run_client(number: int, key: int) -> None:
            outcome = await load.send(make_request(rng, f"t5x{number}"), keys[key])
            load.record_outcome(outcome)
            outcomes_by_key[key].append(outcome)
            # Count only while all keys compete, that is, while each has more requests than there are workers.
            if outcome.end is RequestEnd.COMPLETE and all(
                clients.active_request_counts[key] > WORKER_COUNT for key in keys
            ):
                served_counts[keys[key]] += 1

        await asyncio.gather(*(run_client(number, key) for number, key in enumerate(key_of_client)))
        recorded_counts = [(await clients.get_job_counts(key))["ok"] for key in keys]
        assert await load.check_usage() == []
    assert set(load.record.end_counts) <= {RequestEnd.COMPLETE, RequestEnd.REJECTED}, load.record.error_counts
    assert load.record.problems == []
    # The usage report of each key agrees with its clients.
    assert recorded_counts == [
        sum(outcome.end is RequestEnd.COMPLETE for outcome in outcomes_by_key[key]) for key in range(KEY_COUNT)
    ]
    median = statistics.median(served_counts[key] for key in keys)
    assert median > 0
    assert all(median / 2 <= served_counts[key] <= median * 2 for key in keys), served_counts
