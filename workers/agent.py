"""One `claude` process with tools of its own: in one directory, for one conversation, and then no more."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from workers.aliases import offered
from workers.bill import Bill, OnCost, not_wanted
from workers.continuation import Beginnings, Reply, after, beginnings
from workers.errors import WorkerError
from workers.events import Event, Finished
from workers.frames import Frame
from workers.job import ChatJob, ToolWork
from workers.large_jobs import over
from workers.link import Link, Spawn, starting
from workers.offer import Offer
from workers.patience import Patience
from workers.permission import refusal
from workers.protocol import Protocol, State
from workers.record import NO_RECORD, LastMessage, Record, Resumption, names_on_record
from workers.remote_calls import RemoteCalls
from workers.resident import Resident
from workers.setup import Setup
from workers.work_answer import WorkAnswer

_STOP_SECONDS = 2.0


class Agent:
    """`boot`, then `run` for each job of the one conversation, until `kill`. `asked` is set once the upstream has begun
    to answer. `standing` is the name of the conversation that stands in it, None for one that cannot be gone on with;
    `record` is where it can be taken up from, by a process that is started with a `resumption`.
    """

    def __init__(
        self, spawn: Spawn, model: str, record: Record = NO_RECORD, resumption: Resumption | None = None
    ) -> None:
        self._link = Link(spawn, self._new_protocol)
        self._offer = Offer(self._link)
        self._calls = RemoteCalls(self._link)
        self._resident = Resident(self._link)
        self._patience = Patience(self._link)
        self._setup = Setup(resumption.model if resumption else model)
        if resumption:
            self._resident.standing.end = resumption.end
        self.record = record
        self._work: ToolWork | None = None
        self._denied: set[str] = set()
        self.asked = asyncio.Event()
        self._bill = Bill()
        self.last_used = time.monotonic()
        self.jobs = 0

    @property
    def pid(self) -> int:
        return self._link.pid

    @property
    def model(self) -> str:
        return self._setup.model

    @property
    def standing(self) -> str | None:
        return None if self._link.confused else self._resident.standing.end

    async def boot(self, deadline: float) -> None:
        """Start the process. It learns of its caller's system prompt with the first job: it takes one once.
        Raises `WorkerError`."""
        async with starting(deadline):
            await self._link.open()
            await self._link.write(self._link.protocol.set_thinking_budget(0), deadline=None)
            await self._link.answered(None)

    async def run(self, job: ChatJob, deadline: float, on_cost: OnCost = not_wanted) -> AsyncGenerator[Event, None]:
        """The events of one job, as they come. `deadline` is in the loop's clock; `on_cost` is told what it cost.
        Raises `WorkerError`."""
        assert job.work is not None
        self.jobs += 1
        before = await over(job, beginnings, job)
        async with self._patience.attentive(deadline):
            await self._prepare(job, job.work, before, deadline)
            self._bill = Bill(on_cost, self._link.protocol.cost)
            await self._resident.ask(before[-1], job.turns[-1], self._patience.soon(deadline))
            await self._link.heard(self._patience.soon(deadline))
        answer = WorkAnswer(self._denied, last_only=job.work.last_only)
        reply, last = Reply(), LastMessage()
        while not answer.finished:
            frame = await self._patience.next(self._sign_of_life, deadline)
            self._resident.note(frame)
            last.feed(frame)
            if frame["type"] == "stream_event":
                self.asked.set()
            if frame["type"] == "result":
                self._bill.settle(self._link.protocol.cost)
            try:
                events = answer.feed(frame)
            except WorkerError as error:
                raise await self._link.in_upstream_words(error) from None
            if answer.calls_done and answer.turns == job.work.max_turns and not answer.finished:
                events += answer.stop()
            for event in events:
                reply.feed(event)
                if isinstance(event, Finished) and event.stop_reason in ("end_turn", "stop_sequence"):
                    self._resident.conclude(job, before[-1], reply, event)
                    if said := reply.turn():
                        name = after((await over(job, names_on_record, job))[-1], job.turns[-1], said)
                        self.record = self.record.with_end(name, last.session, last.id)
                yield event
            last_turn = answer.streaming and answer.turns + 1 == job.work.max_turns
            if (last_turn or answer.is_last) and not self._setup.one_request:
                await self._apply(replace(self._setup, one_request=True), deadline)

    async def settle(self) -> None:
        """After a job: let the turn end, or end it. What was broken off cannot be gone on with."""
        self.last_used = time.monotonic()
        if self.standing is None:
            return
        deadline = asyncio.get_running_loop().time() + _STOP_SECONDS
        with suppress(WorkerError):
            await self._link.idle(deadline)
            self._bill.settle(self._link.protocol.cost)
            await self._apply(replace(self._setup, one_request=False), deadline)
            await self._link.answered(deadline)
            return
        self._link.confused = True

    def kill(self) -> None:
        self._calls.drop()
        self._link.kill()

    async def ended(self) -> int:
        return await self._link.ended()

    def _new_protocol(self) -> Protocol:
        return Protocol(refusal=self._refusal, on_call=lambda frame: self._calls.begin(frame, self._work))

    def _refusal(self, request: Mapping[str, Any]) -> str | None:
        refused = refusal(request, self._work) if self._work else "Nothing is to be done."
        if refused is not None:
            self._denied.add(str(request.get("tool_use_id")))
        return refused

    async def _prepare(self, job: ChatJob, work: ToolWork, before: Beginnings, deadline: float) -> None:
        protocol = self._link.protocol
        frames = []
        if protocol.state is State.BOOTING:
            frames.append(protocol.initialize_with_own_prompt(job.system))
        if (self._work is not None and self._work.plan) != work.plan:
            frames.append(protocol.set_permission_mode("plan" if work.plan else "default"))
        self._work = work
        wanted = replace(self._setup, tuning=job.tuning, one_request=False)
        if not self._resident.standing.newest:
            frames.append(protocol.set_environment(wanted.variables()))
        soon = self._patience.soon
        await self._link.write(*frames, deadline=soon(deadline))
        await self._apply(wanted, soon(deadline))
        await self._link.answered(soon(deadline))
        if job.model != self._setup.model:
            self._setup = replace(self._setup, model=job.model)
            await self._link.write(protocol.switch_model(job.model), deadline=soon(deadline))
            await self._link.answered(soon(deadline))
        await self._offer.make(offered(work.remote), soon(deadline))
        stay = await self._resident.go_back(before, soon(deadline))
        await self._resident.put_back(job, before, stay, soon(deadline))

    def _sign_of_life(self) -> Frame:
        return self._setup.sign_of_life(self._link.protocol)

    async def _apply(self, wanted: Setup, deadline: float) -> None:
        frames = self._setup.frames_to(wanted, self._link.protocol)
        self._setup = wanted
        if frames:
            await self._link.write(*frames, deadline=deadline)
