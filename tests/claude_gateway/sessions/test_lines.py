"""One at a time, in the order they came, and no line without end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from claude_gateway.sessions.lines import Lines, LineTooLong
from tests.workers.helpers import PATIENCE, soon, until
from workers.errors import ErrorKind, WorkerError


class Guest:
    """Somebody who takes a turn and keeps it until told to leave."""

    def __init__(self, lines: Lines, owner: str = "ann", name: str = "s") -> None:
        self.served = asyncio.Event()
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._stay(lines, owner, name))

    async def _stay(self, lines: Lines, owner: str, name: str) -> None:
        async with lines.turn(owner, name):
            self.served.set()
            await self.leave.wait()


@asynccontextmanager
async def guests(lines: Lines, count: int, owner: str = "ann", name: str = "s") -> AsyncIterator[list[Guest]]:
    """The first is served, the others wait; all are gone afterwards."""
    there = [Guest(lines, owner, name) for _ in range(count)]
    try:
        await soon(there[0].served.wait())
        yield there
    finally:
        for guest in there:
            guest.task.cancel()
        await asyncio.gather(*(guest.task for guest in there), return_exceptions=True)


async def test_the_next_is_served_when_the_one_before_leaves() -> None:
    lines = Lines(most_waiting=10, patience=PATIENCE)
    async with guests(lines, 3) as (first, second, third):
        assert not second.served.is_set()
        first.leave.set()
        await soon(second.served.wait())
        assert not third.served.is_set()
        second.leave.set()
        await soon(third.served.wait())


async def test_other_names_and_other_owners_do_not_wait() -> None:
    lines = Lines(most_waiting=0, patience=PATIENCE)
    async with guests(lines, 1), guests(lines, 1, name="other"), guests(lines, 1, owner="bob"):
        pass


async def test_who_gives_up_waiting_blocks_nobody() -> None:
    lines = Lines(most_waiting=10, patience=PATIENCE)
    async with guests(lines, 3) as (first, second, third):
        second.task.cancel()
        first.leave.set()
        await soon(third.served.wait())


async def test_a_wait_is_bounded() -> None:
    lines = Lines(most_waiting=10, patience=0.01)
    async with guests(lines, 1) as (first,):
        with pytest.raises(LineTooLong):
            await soon(Guest(lines).task)
        assert not first.task.done()


async def test_a_line_is_bounded() -> None:
    lines = Lines(most_waiting=100, patience=PATIENCE)
    async with guests(lines, 17) as there:
        with pytest.raises(LineTooLong):
            await soon(Guest(lines).task)
        assert not any(guest.task.done() for guest in there)


async def test_an_owner_s_lines_are_bounded_together_and_another_s_apart() -> None:
    lines = Lines(most_waiting=2, patience=PATIENCE)
    async with guests(lines, 2), guests(lines, 2, name="other"), guests(lines, 1, name="third"):
        with pytest.raises(LineTooLong):
            await soon(Guest(lines, name="third").task)
        async with guests(lines, 2, owner="bob"):
            pass


async def test_nobody_overtakes_between_two_turns() -> None:
    lines = Lines(most_waiting=1, patience=PATIENCE)
    async with lines.turn("ann", "s"):
        second = Guest(lines)
        await until(lambda: vars(lines)["_waiting"]["ann"] == 1)
    # The second was called, and has not come yet.
    with pytest.raises(LineTooLong):
        await lines.turn("ann", "s").__aenter__()
    await soon(second.served.wait())
    second.leave.set()
    await soon(second.task)


async def test_who_is_refused_or_served_leaves_nothing_behind() -> None:
    lines = Lines(most_waiting=1, patience=0.01)
    async with guests(lines, 1):
        for _ in range(3):
            with pytest.raises(LineTooLong):
                await soon(Guest(lines).task)
    assert vars(lines)["_lines"] == {}
    async with guests(lines, 1):
        pass
    await until(lambda: not vars(lines)["_lines"])


async def test_where_the_gateway_stops_who_waits_is_refused_at_once_and_who_is_served_is_not() -> None:
    lines = Lines(most_waiting=10, patience=PATIENCE)
    async with guests(lines, 3) as (first, second, third):
        await until(lambda: vars(lines)["_waiting"]["ann"] == 2)
        lines.refuse_waiting(7)
        for waiting in (second, third, Guest(lines)):
            with pytest.raises(WorkerError) as caught:
                await soon(waiting.task)
            assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.STOPPING, 7)
        assert not first.task.done()
        async with lines.turn("ann", "another"):
            pass
    assert vars(lines)["_waits"] == set()
