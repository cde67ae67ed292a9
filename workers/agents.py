"""The bounded pool of agents: who keeps one, who gets a fresh one, and where each works."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.agent import Agent
from workers.continuation import beginnings
from workers.errors import ErrorKind, WorkerError, stopping
from workers.footprint import memory_mib
from workers.job import ChatJob, ToolWork
from workers.large_jobs import over
from workers.observer import UNOBSERVED, Observer
from workers.places import Places, weigh_both
from workers.record import NO_RECORD, Record, Resumption
from workers.roster import Post
from workers.settings import AgentSettings

_log = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5

Key = tuple[str, str]
# In a place, with these tools; with what is on record of its conversation, and where to take that up.
NewAgent = Callable[[Path, tuple[str, ...], Record, Resumption | None], Agent]


@dataclass(slots=True, eq=False)
class _Seat:
    """An agent in its place. `key`: whose session it has the conversation of."""

    agent: Agent
    place: Path
    tools: tuple[str, ...]
    key: Key | None = None
    fault: WorkerError | None = None
    watch: asyncio.Task[None] | None = None
    booted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Agents:
    """`lease` for each job, `close` at the end. An agent has one conversation for life; in `settings.workers` of them
    work is going on or can be gone on with. Spares are booted once there has been a first job: most gateways have none.
    """

    def __init__(
        self,
        new_agent: NewAgent,
        places: Places,
        settings: AgentSettings,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._observer = observer
        self._new_agent = new_agent
        self._places = places
        self._settings = settings
        self._kept: dict[Key, _Seat] = {}
        self._busy: set[_Seat] = set()
        self._spares: list[_Seat] = []
        self._ending: set[_Seat] = set()
        self._starting: set[Key] = set()
        self._leases = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @asynccontextmanager
    async def lease(self, job: ChatJob, deadline: float) -> AsyncIterator[Agent]:
        """An agent for one job, alone. At most `settings.workers` leases may be held at a time: the scheduler's slots.
        Raises `WorkerError`, also in the place of what the job raises when it was ended for what it took."""
        assert job.work is not None
        if self._closing:
            raise stopping()
        key = (job.owner, job.work.place) if job.work.place else None
        self._leases += 1
        try:
            async with self._working(await self._begun(job, job.work, key, deadline)) as agent:
                yield agent
        finally:
            self._leases -= 1

    async def _begun(self, job: ChatJob, work: ToolWork, key: Key | None, deadline: float) -> _Seat:
        self._starting |= {key} if key else set()
        try:
            seat = await self._seat(job, work, key, deadline)
            self._busy.add(seat)
            return seat
        finally:
            self._starting -= {key} if key else set()

    @asynccontextmanager
    async def _working(self, seat: _Seat) -> AsyncIterator[Agent]:
        behind = self._spawn(self._refill_behind(seat.agent))
        try:
            await self._check_disk(seat)
            seat.watch = asyncio.create_task(self._watch(seat))
            yield seat.agent
        except WorkerError as error:
            raise seat.fault or error from error
        finally:
            if seat.watch:
                seat.watch.cancel()
            behind.cancel()
            self._refill()
            await asyncio.shield(self._spawn(self._release(seat)))

    def roster(self) -> list[Post]:
        """Every process: those at work, those that keep a conversation, those that wait for their first."""
        booting = [seat for seat in self._spares if not seat.booted.done()]
        ready = [seat for seat in self._spares if seat.booted.done()]
        phases = (("busy", self._busy), ("kept", self._kept.values()), ("ready", ready), ("booting", booting))
        return [
            Post("agent", seat.agent.pid, phase, seat.key[0] if seat.key else None, seat.agent.model, seat.agent.jobs)
            for phase, seats in phases
            for seat in seats
        ]

    async def drop(self, owner: str, name: str) -> None:
        """A session is no more: its agent ends, whatever it does, and its place goes."""
        key = (owner, name)
        busy = [seat for seat in self._busy if seat.key == key]
        if seat := self._kept.pop(key, None):
            await self._end(seat)
        for each in busy:
            each.key = None  # its place goes once it has ended
            each.agent.kill()
        if not busy:
            await self._places.remove(self._places.kept(owner, name))

    async def keep_only(self, names: Collection[Key]) -> None:
        """There are no sessions but these, of owner and id: what others had goes, unless a job works on it."""
        known = set(names)
        for key in [key for key in self._kept if key not in known]:
            await self._end(self._kept.pop(key))
        busy = {seat.place for seat in self._busy} | {self._places.kept(*key) for key in self._starting}
        await self._places.sweep(busy | {self._places.kept(*name) for name in known})
        await self._places.weigh_unknown(known)

    async def close(self) -> None:
        """End every process and wait for each."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        seats = [*self._kept.values(), *self._busy, *self._spares, *self._ending]
        await asyncio.gather(*(self._end(seat) for seat in seats))
        await asyncio.gather(*(self._places.remove(seat.place) for seat in seats if seat.key is None))

    async def _seat(self, job: ChatJob, work: ToolWork, key: Key | None, deadline: float) -> _Seat:
        goes_on_from = (await over(job, beginnings, job))[-1] if key in self._kept else ""
        if key and (here := self._kept.pop(key, None)):
            if here.tools == work.tools and here.agent.standing == goes_on_from and len(job.turns) > 1:
                self._observer.prepared("agent", "resident")
                return here
            self._observer.ended("agent", "unfit")
            await self._end(here)
        while len(self._kept) + self._leases > self._settings.workers and self._kept:
            # The conversation left alone longest is given up; its place stays. It is killed, and not waited for.
            oldest = min(self._kept, key=lambda each: self._kept[each].agent.last_used)
            given_up = self._kept.pop(oldest)
            self._ending.add(given_up)
            self._spawn(self._end(given_up))
            self._observer.ended("agent", "needed")
        if key and (taken_up := await self._taken_up(job, work, key, deadline)):
            self._observer.prepared("agent", "taken_up")
            return taken_up
        self._observer.prepared("agent", "rebuilt" if len(job.turns) > 1 else "none")
        return await self._fresh(work, key, deadline)

    async def _taken_up(self, job: ChatJob, work: ToolWork, key: Key, deadline: float) -> _Seat | None:
        """A process with the conversation of one that is gone, as it really went; None where that is not on record."""
        record = await self._places.record(*key)
        resumption = await over(job, record.resumption, job)
        if resumption is None:
            return None
        try:
            return await self._started(self._places.kept(*key), work, key, deadline, record, resumption)
        except WorkerError as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            _log.warning("a conversation could not be taken up: %s %s", error, error.detail)
            return None

    async def _fresh(self, work: ToolWork, key: Key | None, deadline: float) -> _Seat:
        spare = next((seat for seat in self._spares if seat.tools == work.tools), None)
        if spare is not None:
            self._spares.remove(spare)
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(spare.booted)
            except TimeoutError:
                await self._discard(spare)
                raise WorkerError(ErrorKind.TIMEOUT, "No worker became ready in time.") from None
            except BaseException:
                await self._discard(spare)
                raise
            if key:
                spare.place = await self._places.settle(spare.place, *key)
                spare.key = key
            return spare
        place = await (self._places.make_kept(*key) if key else self._places.fresh())
        if key:
            await self._places.forget(place)
        return await self._started(place, work, key, deadline)

    async def _started(
        self,
        place: Path,
        work: ToolWork,
        key: Key | None,
        deadline: float,
        record: Record = NO_RECORD,
        resumption: Resumption | None = None,
    ) -> _Seat:
        seat = _Seat(self._new_agent(place, work.tools, record, resumption), place, work.tools, key)
        try:
            await self._boot(seat, min(deadline, self._boot_deadline()))
        except BaseException:
            await self._discard(seat)
            raise
        return seat

    async def _release(self, seat: _Seat) -> None:
        if seat.key:
            self._spawn(self._weigh_behind(*seat.key))
        if seat.key and not seat.fault:
            await seat.agent.settle()
        self._busy.discard(seat)
        if seat.key and not seat.fault and seat.agent.standing:
            with suppress(OSError):  # then it is taken up from where it stood before
                await self._places.write_record(seat.place, seat.agent.record)
        if seat.key and not seat.fault and seat.agent.standing and not self._closing:
            self._kept[seat.key] = seat
            return
        await self._discard(seat)
        if seat.key and seat.fault and seat.fault.kind is ErrorKind.DISK_FULL:
            await self._places.forget(seat.place)  # what the caller cannot delete

    async def _discard(self, seat: _Seat) -> None:
        await self._end(seat)
        if seat.key is None:
            await self._places.remove(seat.place)

    async def _end(self, seat: _Seat) -> None:
        seat.agent.kill()
        with suppress(ProcessLookupError):
            await seat.agent.ended()
        self._ending.discard(seat)

    async def _refill_behind(self, agent: Agent) -> None:
        """Once the job's first request has left: a boot takes a processor to itself, which the job should have."""
        await agent.asked.wait()
        self._refill()

    def _refill(self) -> None:
        missing = self._settings.spares - len(self._spares)
        for _ in range(0 if self._closing else missing):
            self._spawn(self._boot_spare())

    async def _boot_spare(self) -> None:
        place = await self._places.fresh()
        tools = self._settings.usual_tools
        seat = _Seat(self._new_agent(place, tools, NO_RECORD, None), place, tools)
        self._spares.append(seat)
        try:
            await self._boot(seat, self._boot_deadline())
        except WorkerError as error:
            _log.warning("a spare agent did not start: %s %s", error, error.detail)
            if seat in self._spares:
                self._spares.remove(seat)
                await self._discard(seat)
            else:
                seat.booted.set_exception(error)
        else:
            seat.booted.set_result(None)

    async def _boot(self, seat: _Seat, deadline: float) -> None:
        began = asyncio.get_running_loop().time()
        await seat.agent.boot(deadline)
        self._observer.booted("agent", asyncio.get_running_loop().time() - began)

    def _boot_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.boot_timeout

    async def _check_disk(self, seat: _Seat) -> None:
        if seat.key is None:
            place = total = await weigh_both(seat.place)
        else:
            place = await self._places.weigh(*seat.key)
            total = self._places.usage.of(seat.key[0])
        match self._settings.disk.exceeded_by(place, total):
            case "":
                return
            case "SESSION_DISK_MB":
                message = "The directory of this session holds more than SESSION_DISK_MB allows. Delete files of it."
            case _:
                message = (
                    "The directories of this key's sessions hold more than SESSIONS_DISK_MB allows. Delete files or "
                    "sessions."
                )
        seat.fault = WorkerError(ErrorKind.DISK_FULL, message)
        raise seat.fault

    async def _weigh_behind(self, owner: str, name: str) -> None:
        """What the job left, for the next who asks."""
        with suppress(OSError):
            await self._places.weigh(owner, name)

    async def _watch(self, seat: _Seat) -> None:
        """End a job that takes more disk or memory than it may. Its files stay, to be looked at and deleted."""
        while seat.fault is None:
            await asyncio.sleep(_WATCH_SECONDS)
            with suppress(WorkerError, OSError):
                await self._check_disk(seat)
            used = await memory_mib(seat.agent.pid)
            if used > self._settings.memory_mib:
                seat.fault = WorkerError(ErrorKind.MEMORY_FULL, "The work took more memory than AGENT_MEMORY_MIB.")
        seat.agent.kill()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
