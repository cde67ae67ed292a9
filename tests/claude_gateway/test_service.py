"""A job to its events: one more try where that cannot be noticed, and never a second answer behind a first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from claude_gateway.access.request_pacing import RequestPacer
from claude_gateway.retries import MAX_BROKEN_ANSWERS, MAX_WORKERS
from claude_gateway.service import ChatService, Check, Lease
from tests.claude_gateway.scripted import FINISHED, HELLO, JOB, STARTED, ScriptedDispatcher
from workers.errors import ErrorKind, WorkerError
from workers.events import Event, Restarted, Started, TextDelta, ThinkingDelta
from workers.job import ChatJob

HELPED_BY_ANOTHER_TRY = [ErrorKind.WORKER_DIED, ErrorKind.WORKER_CONFUSED, ErrorKind.CUT]
OTHERS = [kind for kind in ErrorKind if kind not in HELPED_BY_ANOTHER_TRY]


def failure(kind: ErrorKind) -> WorkerError:
    return WorkerError(kind, "It failed.")


async def events_of(dispatcher: ScriptedDispatcher) -> list[Event]:
    async with asyncio.timeout(10):
        return [event async for event in ChatService(dispatcher, 60).run(JOB)]


async def test_the_events_of_a_job_come_as_they_are() -> None:
    dispatcher = ScriptedDispatcher([HELLO])

    assert tuple(await events_of(dispatcher)) == HELLO
    assert dispatcher.jobs == [JOB]


@pytest.mark.promise("retry.unseen")
@pytest.mark.parametrize("kind", HELPED_BY_ANOTHER_TRY)
@pytest.mark.parametrize("before", [[], [STARTED]], ids=["nothing", "started"])
async def test_a_job_that_failed_unseen_is_run_once_more_in_silence(kind: ErrorKind, before: list[Event]) -> None:
    dispatcher = ScriptedDispatcher([[*before, failure(kind)], HELLO])

    assert tuple(await events_of(dispatcher)) == HELLO


@pytest.mark.parametrize("shown", [TextDelta("Hel"), ThinkingDelta("Hm")])
async def test_a_job_that_failed_behind_a_word_says_so_before_it_begins_again(shown: Event) -> None:
    dispatcher = ScriptedDispatcher([[STARTED, shown, failure(ErrorKind.CUT)], [Started("another"), *HELLO[1:]]])

    assert await events_of(dispatcher) == [STARTED, shown, Restarted(), *HELLO[1:]]


async def test_nobody_is_asked_again_when_the_reader_stops_at_the_restart() -> None:
    dispatcher = ScriptedDispatcher([[*HELLO[:2], failure(ErrorKind.WORKER_DIED)], HELLO])
    events = ChatService(dispatcher, 60).run(JOB)

    async for event in events:
        if event == Restarted():
            await events.aclose()

    assert len(dispatcher.jobs) == 1


WORKERS_FAULTS = [ErrorKind.WORKER_DIED, ErrorKind.WORKER_CONFUSED]


@pytest.mark.promise("retry.unseen")
@pytest.mark.parametrize("kind", WORKERS_FAULTS)
@pytest.mark.parametrize("before", [[], [STARTED]], ids=["nothing", "started"])
async def test_a_job_that_meets_several_broken_workers_is_served_by_the_next(
    kind: ErrorKind, before: list[Event]
) -> None:
    broken = [[*before, failure(kind)]] * (MAX_WORKERS - 1)
    dispatcher = ScriptedDispatcher([*broken, HELLO])

    assert tuple(await events_of(dispatcher)) == HELLO


@pytest.mark.parametrize("kind", WORKERS_FAULTS)
async def test_a_job_that_ends_every_worker_is_given_up(kind: ErrorKind) -> None:
    dispatcher = ScriptedDispatcher.always(failure(kind))

    with pytest.raises(WorkerError) as raised:
        await events_of(dispatcher)

    assert raised.value.kind is kind
    assert len(dispatcher.jobs) == MAX_WORKERS


@pytest.mark.parametrize(
    "attempt",
    [[failure(ErrorKind.CUT)], [*HELLO[:3], failure(ErrorKind.WORKER_DIED)]],
    ids=["cut", "died-behind-a-word"],
)
async def test_of_answers_that_break_off_there_is_no_third(attempt: list[Event | Exception]) -> None:
    dispatcher = ScriptedDispatcher.always(*attempt)

    with pytest.raises(WorkerError):
        await events_of(dispatcher)

    assert len(dispatcher.jobs) == MAX_BROKEN_ANSWERS


async def test_a_job_that_is_tried_again_keeps_its_slot() -> None:
    class Slots(ScriptedDispatcher):
        taken = 0

        @asynccontextmanager
        async def slot(self, job: ChatJob, deadline: float, check: Check) -> AsyncIterator[Lease]:
            self.taken += 1
            async with super().slot(job, deadline, check) as lease:
                yield lease

    dispatcher = Slots([[failure(ErrorKind.WORKER_DIED)], [failure(ErrorKind.WORKER_CONFUSED)], HELLO])

    assert tuple(await events_of(dispatcher)) == HELLO
    assert (dispatcher.taken, len(dispatcher.jobs)) == (1, 3)


@pytest.mark.parametrize("kind", OTHERS)
async def test_no_other_failure_is_tried_again(kind: ErrorKind) -> None:
    dispatcher = ScriptedDispatcher.always(failure(kind))

    with pytest.raises(WorkerError) as raised:
        await events_of(dispatcher)

    assert raised.value.kind is kind
    assert len(dispatcher.jobs) == 1


@pytest.mark.promise("limits.time")
async def test_both_tries_share_one_deadline() -> None:
    dispatcher = ScriptedDispatcher([[failure(ErrorKind.CUT)], HELLO])
    now = asyncio.get_running_loop().time()

    await events_of(dispatcher)

    first, second = dispatcher.deadlines
    assert first == second
    assert first >= now + 60


async def test_a_reader_who_leaves_gives_the_worker_back() -> None:
    dispatcher = ScriptedDispatcher([HELLO])
    events = ChatService(dispatcher, 60).run(JOB)
    await anext(events)

    await events.aclose()

    assert dispatcher.released.is_set()


async def test_the_worker_is_held_until_the_last_event() -> None:
    dispatcher = ScriptedDispatcher([HELLO])

    async for event in ChatService(dispatcher, 60).run(JOB):
        if event == FINISHED:
            assert not dispatcher.released.is_set()

    assert dispatcher.released.is_set()


class _RecordingPacer(RequestPacer):
    """Lets every request pass at once, and keeps whose it was."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    def wait(self, key: str, now: float) -> float:
        self.keys.append(key)
        return super().wait(key, now)


async def test_an_answer_of_very_many_pieces_counts_as_requests_of_its_key() -> None:
    pacer = _RecordingPacer()
    pieces = [TextDelta("x")] * 300
    dispatcher = ScriptedDispatcher([[STARTED, *pieces, FINISHED]])

    events = [event async for event in ChatService(dispatcher, 60, pacer=pacer).run(JOB)]

    assert events.count(TextDelta("x")) == 300
    assert pacer.keys == [JOB.owner] * 2  # one for 128
