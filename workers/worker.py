"""One long-lived `claude` process and what it currently is set to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import replace

from workers.aliases import Outward, inward
from workers.answer import Answer
from workers.bill import Bill, OnCost, not_wanted
from workers.continuation import Beginnings, Reply, beginnings
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockStarted, Event, Finished
from workers.frames import Frame
from workers.job import ChatJob, ToolUse
from workers.large_jobs import over
from workers.link import Link, Spawn, starting
from workers.observer import UNOBSERVED, Observer
from workers.offer import Offer, names_to_offer
from workers.patience import SECONDS, Patience
from workers.prepared import WORTH_A_PROCESS, Prepared, prepare
from workers.protocol import Protocol, State
from workers.resident import Resident
from workers.setup import Setup, request_body
from workers.transcript import Transcript


class Worker:
    """Runs one job at a time: `boot`, then `run` and `recover` in turns, until `kill`.

    With `system_in_body` a job's system prompt replaces the CLI's own words about itself; a `cli` login needs those.
    """

    def __init__(
        self,
        spawn: Spawn,
        default_model: str,
        new_protocol: Callable[[], Protocol] = Protocol,
        observer: Observer = UNOBSERVED,
        *,
        patience: float = SECONDS,
        system_in_body: bool = True,
    ) -> None:
        self._observer = observer
        self._system_in_body = system_in_body
        self._link = Link(spawn, new_protocol)
        self._resident = Resident(self._link)
        self._setup = self._fresh_setup(default_model)
        self._patience = Patience(self._link, patience)
        self._offer = Offer(self._link)
        self._bill = Bill()
        self.had_system = False
        self.jobs = 0
        self.born = time.monotonic()

    @property
    def pid(self) -> int:
        return self._link.pid

    @property
    def model(self) -> str:
        """The model it is set to; a job for another one costs a switch."""
        return self._setup.model

    @property
    def standing(self) -> Transcript:
        """The conversation that stands in it."""
        return self._resident.standing

    @property
    def protocol(self) -> Protocol:
        return self._link.protocol

    async def boot(self, timeout: float) -> None:
        """Start the process and wait until it takes prompts. Raises `WorkerError`."""
        await self._start(asyncio.get_running_loop().time() + timeout)

    async def _start(self, deadline: float, prepared: Prepared | None = None) -> None:
        async with starting(deadline):
            await self._link.open(prepared)
            await self._link.write(
                self.protocol.initialize(),
                # Where the model can do without thinking; by default the CLI spends 31,999 tokens on it.
                self.protocol.set_thinking_budget(0),
                self.protocol.set_environment(self._setup.variables()),
                deadline=None,
            )
            while self.protocol.state is State.BOOTING:
                await self._link.next()
            await self._link.answered(None)
            await self._link.opened()

    async def run(self, job: ChatJob, deadline: float, on_cost: OnCost = not_wanted) -> AsyncGenerator[Event, None]:
        """The events of one job, as they come. `deadline` is in the loop's clock; `on_cost` is told what it cost, at
        its end or soon after it.

        Raises `WorkerError`, TIMEOUT past the deadline. Leaving early is allowed.
        """
        self.jobs += 1
        answer = Answer()
        reply = Reply()
        outward, job, before, offered = await over(job, _named, job)
        async with self._patience.attentive(deadline):
            await self._prepare(job, before, offered, deadline)
            self._bill = Bill(on_cost, self.protocol.cost)
            await self._resident.ask(before[-1], job.turns[-1], self._patience.soon(deadline))
            await self._link.heard(self._patience.soon(deadline))
        while not answer.finished:
            for event in await self._next_events(answer, offered, deadline):
                reply.feed(event)
                if isinstance(event, Finished):
                    # Before the event is passed on: its reader may not come back.
                    self._resident.conclude(job, before[-1], reply, event)
                for named in outward.feed(event):
                    yield named

    async def _next_events(self, answer: Answer, offered: Collection[str], deadline: float) -> list[Event]:
        frame = await self._patience.next(self._sign_of_life, deadline)
        self._resident.note(frame)
        if frame["type"] == "result":
            self._bill.settle(self.protocol.cost)
        events = await self._read(answer, frame)
        if answer.finished or any(_calls_another_tool(event, offered) for event in events):
            # The CLI answers such a call at once, and would end the turn there without reading the rest of the answer.
            await self._apply(replace(self._setup, one_request=answer.finished), deadline)
        return events

    async def recover(self, timeout: float) -> None:
        """Stop what still runs and leave the conversation fit to go on; what cannot go on, the next job cuts back.
        Raises `WorkerError`."""
        if self._link.confused:
            raise WorkerError(ErrorKind.WORKER_CONFUSED, "The claude process cannot be trusted any more.")
        deadline = asyncio.get_running_loop().time() + timeout
        if self.protocol.state is State.ANSWERING and self._resident.is_to_be_stopped:
            await self._link.write(self.protocol.stop(), deadline=deadline)
        await self._link.idle(deadline)
        self._bill.settle(self.protocol.cost)
        await self._link.answered(deadline)  # an answer to this job must not come into the next
        await self._resident.put_right(deadline)

    def kill(self) -> None:
        self._link.kill()

    async def ended(self) -> int:
        """Wait for the process to end."""
        return await self._link.ended()

    async def _read(self, answer: Answer, frame: Frame) -> list[Event]:
        try:
            return answer.feed(frame)
        except WorkerError as error:
            if error.kind is ErrorKind.WORKER_CONFUSED:
                self._link.confused = True  # whose end that was, nobody can say
            raise await self._link.in_upstream_words(error) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._link.distrust(repr(error)) from error

    async def _prepare(self, job: ChatJob, before: Beginnings, offered: Collection[str], deadline: float) -> None:
        """Set everything to what the job wants, and the conversation to what came before its question."""
        history = len(before) - 1
        missing = history - self.standing.way_back(before)[0]
        if not history:
            self._observer.prepared("chat", "none")
        elif not missing:
            self._observer.prepared("chat", "resident")
        else:
            self._observer.prepared("chat", "taken_up" if missing > WORTH_A_PROCESS else "rebuilt")
        if missing > WORTH_A_PROCESS:
            await self._take_up(job, before, self._patience.soon(deadline))
        stay = await self._resident.go_back(before, self._patience.soon(deadline))
        await self._set_model(job, self._patience.soon(deadline))
        body = request_body(job.tools, job.system if self._system_in_body else None)
        wanted = replace(self._setup, tuning=job.tuning, body=body, one_request=True)
        await self._apply(wanted, self._patience.soon(deadline))
        await self._offer.make_names(offered, self._patience.soon(deadline))
        await self._resident.put_back(job, before, stay, self._patience.soon(deadline))

    async def _take_up(self, job: ChatJob, before: Beginnings, deadline: float) -> None:
        """Go on in a fresh process that begins with the job's long history. Raises `WorkerError`."""
        prepared = await over(job, prepare, job.turns[:-1], job.model)
        self._setup = self._fresh_setup(job.model)
        self._offer.forget()
        self.had_system = False
        self._link.confused = True  # until it is up: whoever leaves meanwhile leaves a process of no use
        try:
            await self._start(deadline, prepared)
        except WorkerError as error:
            # The pool has other processes, and each can start one of its own.
            raise self._link.distrust(f"{error} {error.detail}") from error
        self._link.confused = False
        self.jobs, self.born = 1, time.monotonic()
        await self._resident.take_up(prepared, before, job.turns[:-1], deadline)

    async def _set_model(self, job: ChatJob, deadline: float) -> None:
        system = "" if self._system_in_body else job.system
        if self._setup.model != job.model:
            self._setup = replace(self._setup, model=job.model)
            await self._link.write(self.protocol.switch_model(job.model), deadline=deadline)
        if self._setup.system != system:
            # Noted before it is sent: a client that leaves from here on leaves a process that may have taken it.
            self.had_system = self.had_system or bool(system)
            self._setup = replace(self._setup, system=system)
            await self._link.write(self.protocol.set_system(job.model, system), deadline=deadline)
        await self._link.answered(deadline)

    def _fresh_setup(self, model: str) -> Setup:
        return Setup(model, body=request_body((), "" if self._system_in_body else None), one_request=True)

    def _sign_of_life(self) -> Frame:
        return self._setup.sign_of_life(self.protocol)

    async def _apply(self, wanted: Setup, deadline: float) -> None:
        """Send what differs from the present set-up, without waiting for the answers."""
        frames = self._setup.frames_to(wanted, self.protocol)
        self._setup = wanted
        if frames:
            await self._link.write(*frames, deadline=deadline)


def _named(job: ChatJob) -> tuple[Outward, ChatJob, Beginnings, frozenset[str]]:
    """How the answer gets back the client's names, the job in the API's, the names of its conversation, and those of
    the tools that it offers to the CLI."""
    job_inward = inward(job)
    return Outward(job), job_inward, beginnings(job_inward), names_to_offer(job_inward)


def _calls_another_tool(event: Event, offered: Collection[str]) -> bool:
    """True at the beginning of a call of a tool that is not among those offered."""
    return isinstance(event, BlockStarted) and isinstance(event.block, ToolUse) and event.block.name not in offered


async def end(worker: Worker) -> None:
    """Kill a worker and wait until the system has taken its process back."""
    worker.kill()
    with contextlib.suppress(ProcessLookupError):
        await worker.ended()
