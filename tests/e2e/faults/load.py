"""A crowd that asks what a plan says."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from claude_gateway.demo.upstream import StandIn
from tests.e2e.faults.callers import Callers, Outcome
from tests.e2e.faults.plan import Ask
from tests.e2e.faults.record import Record


class Load:
    """`crowd` callers at once, each with the next errand of the plan as soon as he is done with one."""

    def __init__(self, callers: Callers, upstream: StandIn, claims: Path, keys: Sequence[str]) -> None:
        self._callers = callers
        self._upstream = upstream
        self._claims = claims
        self._keys = keys
        self.record = Record()

    async def run(self, errands: Iterator[tuple[Ask, ...]], crowd: int, wanted: Callable[[], bool]) -> None:
        """Until `wanted` says no, or the plan ends; every request that was begun is waited for."""

        async def caller(number: int) -> None:
            key = self._keys[number % len(self._keys)]
            while wanted() and (errand := next(errands, None)) is not None:
                for ask in errand:
                    self.note(await self.call(ask, key))
                self.record.forget(errand[0].session or "")

        await asyncio.gather(*map(caller, range(crowd)))

    async def call(self, ask: Ask, key: str) -> Outcome:
        if ask.at_boot:
            await asyncio.to_thread((self._claims / f"boot-{ask.token}").write_text, ask.at_boot)
        return await self._callers.call(ask, key)

    def note(self, outcome: Outcome) -> None:
        self.record.hear(self._upstream)
        self.record.add(outcome)
