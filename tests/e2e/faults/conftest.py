"""A gateway in a process of its own, whose workers misbehave on command; shared by the tests of a module."""

import itertools
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from claude_gateway.demo.upstream import stand_in
from tests.e2e.faults.books import Books
from tests.e2e.faults.callers import callers
from tests.e2e.faults.gateway import KEY, Soaked, soaked, warmed
from tests.e2e.faults.leftovers import Holdings
from tests.e2e.faults.load import Load
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


@pytest.fixture
def patient(shared_patient: Patient) -> Patient:
    return shared_patient
