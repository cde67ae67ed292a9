"""Fixtures: a gateway process whose workers misbehave on command, one for each module."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.faults.gateway import (
    API_KEY,
    WORKER_COUNT,
    MonitoredGateway,
    run_monitored_gateway,
    wait_all_workers_ready,
)
from tests.e2e.faults.gateway_database import GatewayDatabase
from tests.e2e.faults.load import LoadRunner
from tests.e2e.faults.load_clients import Outcome, create_clients
from tests.e2e.faults.plan import make_request
from tests.e2e.faults.resource_counts import ResourceCounts
from tests.e2e.faults.wrapper import create_misbehaving_cli

MAX_SECONDS = 10
SHORT_TIMEOUT_SETTINGS = {"MAX_TIMEOUT": str(MAX_SECONDS * 1000)}


@dataclass(slots=True)
class FaultTestbed:
    """A gateway under faults, its load, and `baseline`: the resources that it used before the load."""

    gateway: MonitoredGateway
    load: LoadRunner
    baseline: ResourceCounts
    rng: random.Random
    token_numbers: Iterator[int]

    @property
    def next_token(self) -> str:
        return f"t1x{next(self.token_numbers)}"

    async def find_leaks(self) -> list[str]:
        """Return resources that the gateway did not release and usage records that differ from the observations."""
        after = await self.gateway.wait_for_release(self.baseline)
        return [*after.find_increases(self.baseline), *await self.load.check_usage()]

    async def send_plain_requests(self) -> list[Outcome]:
        """Send one request to each worker at once, so that every armed fault fires now.

        Otherwise two faults could hit both attempts of one client.
        """
        requests = [make_request(self.rng, self.next_token) for _ in range(WORKER_COUNT)]
        outcomes = await asyncio.gather(*(self.load.send(request, API_KEY) for request in requests))
        for outcome in outcomes:
            self.load.record_outcome(outcome)
        return list(outcomes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_testbed(tmp_path_factory: Any) -> AsyncIterator[FaultTestbed]:
    directory: Path = tmp_path_factory.mktemp("faults")
    program, claims = create_misbehaving_cli(directory)
    async with (
        run_fake_anthropic() as upstream,
        run_monitored_gateway(upstream, directory, program, SHORT_TIMEOUT_SETTINGS) as gateway,
        create_clients(gateway.url) as clients,
    ):
        await wait_all_workers_ready(gateway)
        baseline = await gateway.count_resources()
        load = LoadRunner(clients, upstream, claims, [API_KEY], GatewayDatabase(gateway.state_dir))
        yield FaultTestbed(gateway, load, baseline, random.Random(1), itertools.count())


@pytest_asyncio.fixture(loop_scope="module")
async def testbed(shared_testbed: FaultTestbed) -> FaultTestbed:
    """Return the testbed after withdrawing the faults that the previous test armed and did not trigger."""
    shared_testbed.load.withdraw_commands()
    await shared_testbed.send_plain_requests()
    return shared_testbed
