"""A crowd that asks what a plan says."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from claude_gateway.demo.upstream import StandIn
from tests.e2e.faults.books import Books
from tests.e2e.faults.callers import Callers, Outcome
from tests.e2e.faults.plan import Ask
from tests.e2e.faults.record import Record

# A job whose caller left is written down soon after.
_PATIENCE_SECONDS = 20.0


class Load:
    """`crowd` callers at once, each with the next errand of the plan as soon as he is done with one."""

    def __init__(self, callers: Callers, upstream: StandIn, claims: Path, keys: Sequence[str], books: Books) -> None:
        self._callers = callers
        self._upstream = upstream
        self._claims = claims
        self._keys = keys
        self._books = books
        self.record = Record()

    async def run(self, errands: Iterator[tuple[Ask, ...]], crowd: int, wanted: Callable[[], bool]) -> None:
        """Until `wanted` says no, or the plan ends; every request that was begun is waited for."""

        async def caller(number: int) -> None:
            key = self._keys[number % len(self._keys)]
            while wanted() and (errand := next(errands, None)) is not None:
                for ask in errand:
                    self.note(await self.call(ask, key))
                if (session := errand[0].session) is not None:
                    count = await self._callers.message_count(session, key)
                    self.record.close_session(session, count, await asyncio.to_thread(self._books.remembered, session))

        await asyncio.gather(*map(caller, range(crowd)))

    async def call(self, ask: Ask, key: str) -> Outcome:
        for moment, act in (("boot", ask.at_boot), ("switch", ask.at_switch)):
            if act:
                await asyncio.to_thread((self._claims / f"{moment}-{ask.token}").write_text, act)
        return await self._callers.call(ask, key)

    def take_back(self) -> None:
        """The commands to processes that no process has taken."""
        for command in [*self._claims.glob("boot-*"), *self._claims.glob("switch-*")]:
            command.unlink(missing_ok=True)

    def note(self, outcome: Outcome) -> None:
        self.record.hear(self._upstream)
        self.record.add(outcome)

    async def audit(self) -> list[str]:
        """Hold the ledger against what callers saw, the first key being one that may see all."""
        clock = asyncio.get_running_loop().time
        until = clock() + _PATIENCE_SECONDS
        while True:
            jobs = await self._callers.jobs(self._keys[0])
            found = self.record.differences(await asyncio.to_thread(self._books.lines), jobs)
            if not found or clock() > until:
                self.record.unbooked = found
                return found
            await asyncio.sleep(0.1)
