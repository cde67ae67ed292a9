"""A gateway in a process of its own, whose workers misbehave on command; shared by the tests of a module."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from claude_gateway.demo.upstream import stand_in
from tests.e2e.faults.books import Books
from tests.e2e.faults.callers import Outcome, callers
from tests.e2e.faults.gateway import KEY, WORKERS, Soaked, soaked, warmed
from tests.e2e.faults.leftovers import Holdings
from tests.e2e.faults.load import Load
from tests.e2e.faults.plan import ask
from tests.e2e.faults.wrapper import misbehaving

LONGEST_SECONDS = 10
IMPATIENT = {"MAX_TIMEOUT": str(LONGEST_SECONDS * 1000)}


@dataclass(slots=True)
class Patient:
    """What the faults are tried on: `load` calls, `before` is what it held when nothing had happened yet."""

    gateway: Soaked
    load: Load
    before: Holdings
    dice: random.Random
    numbers: Iterator[int]

    @property
    def token(self) -> str:
        return f"t1x{next(self.numbers)}"

    async def leftovers(self) -> list[str]:
        """What it holds more than before, once it had the time to let go, and what it wrote down otherwise than callers
        saw it."""
        after = await self.gateway.held_at_last(self.before)
        return [*after.exceeds(self.before), *await self.load.audit()]

    async def innocents(self) -> list[Outcome]:
        """As many at once as there are workers, so that each process meets one: what is armed in it goes off now, and
        not two of them at one caller's two tries."""
        asks = [ask(self.dice, self.token) for _ in range(WORKERS)]
        outcomes = await asyncio.gather(*(self.load.call(one, KEY) for one in asks))
        for outcome in outcomes:
            self.load.note(outcome)
        return list(outcomes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_patient(tmp_path_factory: Any) -> AsyncIterator[Patient]:
    directory: Path = tmp_path_factory.mktemp("faults")
    program, claims = misbehaving(directory)
    async with (
        stand_in() as upstream,
        soaked(upstream, directory, program, IMPATIENT) as gateway,
        callers(gateway.url) as crowd,
    ):
        await warmed(gateway)
        before = await gateway.holds()
        # The connections of the callers are theirs.
        load = Load(crowd, upstream, claims, [KEY], Books(gateway.state_dir))
        yield Patient(gateway, load, before, random.Random(1), itertools.count())


@pytest_asyncio.fixture(loop_scope="module")
async def patient(shared_patient: Patient) -> Patient:
    """Rid of what the test before has armed and not set off."""
    shared_patient.load.take_back()
    await shared_patient.innocents()
    return shared_patient
