"""Events of a job and its retries on another worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from claude_gateway.auth.models import ApiKey
from claude_gateway.auth.request_pacing import RequestPacer
from claude_gateway.jobs.retries import MAX_ATTEMPTS, MAX_INTERRUPTED_REPLIES
from claude_gateway.jobs.service import ChatService
from tests.claude_gateway.scripted import FINISHED, HELLO_EVENTS, JOB, STARTED, ScriptedWorkerSource
from tests.events import each_event
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import Event, Started, StreamReset, TextDelta, ThinkingDelta
from workers.core.job import ChatJob
from workers.logins.leases import LeasedWorker
from workers.scheduling.scheduler import JobSlot, StartGuard

RETRYABLE_KINDS = [ErrorKind.WORKER_EXITED, ErrorKind.PROTOCOL_ERROR, ErrorKind.UPSTREAM_DISCONNECTED]
OTHER_KINDS = [kind for kind in ErrorKind if kind not in RETRYABLE_KINDS]


def create_failure(kind: ErrorKind) -> WorkerError:
    return WorkerError(kind, "It failed.")


async def collect_events(worker_source: ScriptedWorkerSource) -> list[Event]:
    async with asyncio.timeout(10):
        return [event async for event in each_event(ChatService(worker_source, 60).run(JOB))]


async def test_passes_events_of_a_job_unchanged() -> None:
    worker_source = ScriptedWorkerSource([HELLO_EVENTS])

    assert tuple(await collect_events(worker_source)) == HELLO_EVENTS
    assert worker_source.jobs == [JOB]


async def test_every_attempt_of_a_job_has_the_group_that_its_key_had_at_first() -> None:
    class Checker:
        groups = iter(["family", "team", "", "other"])

        async def check_start(self, job: ChatJob, credential: bytes) -> ApiKey:
            return ApiKey(job.key_id, group=next(self.groups, ""))

    worker_source = ScriptedWorkerSource([[create_failure(ErrorKind.WORKER_EXITED)], HELLO_EVENTS])

    events = [event async for event in each_event(ChatService(worker_source, 60, start_checker=Checker()).run(JOB))]

    assert tuple(events) == HELLO_EVENTS
    assert worker_source.jobs == [replace(JOB, group="family")] * 2


@pytest.mark.promise("retry.before-first-output")
@pytest.mark.parametrize("kind", RETRYABLE_KINDS)
@pytest.mark.parametrize("events_before_failure", [[], [STARTED]], ids=["nothing", "started"])
async def test_retries_silently_if_nothing_was_sent(kind: ErrorKind, events_before_failure: list[Event]) -> None:
    worker_source = ScriptedWorkerSource([[*events_before_failure, create_failure(kind)], HELLO_EVENTS])

    assert tuple(await collect_events(worker_source)) == HELLO_EVENTS


@pytest.mark.parametrize("sent_event", [TextDelta("Hel"), ThinkingDelta("Hm")])
async def test_emits_stream_reset_before_retrying_after_output(sent_event: Event) -> None:
    worker_source = ScriptedWorkerSource(
        [
            [STARTED, sent_event, create_failure(ErrorKind.UPSTREAM_DISCONNECTED)],
            [Started("another"), *HELLO_EVENTS[1:]],
        ]
    )

    assert await collect_events(worker_source) == [STARTED, sent_event, StreamReset(), *HELLO_EVENTS[1:]]


async def test_does_not_retry_if_the_reader_stops_at_the_stream_reset() -> None:
    worker_source = ScriptedWorkerSource([[*HELLO_EVENTS[:2], create_failure(ErrorKind.WORKER_EXITED)], HELLO_EVENTS])
    events = each_event(ChatService(worker_source, 60).run(JOB))

    async for event in events:
        if event == StreamReset():
            await events.aclose()

    assert len(worker_source.jobs) == 1


WORKER_FAULTS = [ErrorKind.WORKER_EXITED, ErrorKind.PROTOCOL_ERROR]


@pytest.mark.promise("retry.before-first-output")
@pytest.mark.parametrize("kind", WORKER_FAULTS)
@pytest.mark.parametrize("events_before_failure", [[], [STARTED]], ids=["nothing", "started"])
async def test_retries_after_several_broken_workers(kind: ErrorKind, events_before_failure: list[Event]) -> None:
    broken = [[*events_before_failure, create_failure(kind)]] * (MAX_ATTEMPTS - 1)
    worker_source = ScriptedWorkerSource([*broken, HELLO_EVENTS])

    assert tuple(await collect_events(worker_source)) == HELLO_EVENTS


@pytest.mark.parametrize("kind", WORKER_FAULTS)
async def test_stops_retrying_a_job_that_ends_every_worker(kind: ErrorKind) -> None:
    worker_source = ScriptedWorkerSource.repeating(create_failure(kind))

    with pytest.raises(WorkerError) as raised:
        await collect_events(worker_source)

    assert raised.value.kind is kind
    assert len(worker_source.jobs) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    "attempt",
    [[create_failure(ErrorKind.UPSTREAM_DISCONNECTED)], [*HELLO_EVENTS[:3], create_failure(ErrorKind.WORKER_EXITED)]],
    ids=["interrupted", "exited-after-output"],
)
async def test_retries_an_interrupted_reply_only_once(attempt: list[Event | Exception]) -> None:
    worker_source = ScriptedWorkerSource.repeating(*attempt)

    with pytest.raises(WorkerError):
        await collect_events(worker_source)

    assert len(worker_source.jobs) == MAX_INTERRUPTED_REPLIES


async def test_retried_job_keeps_its_slot() -> None:
    class Slots(ScriptedWorkerSource):
        slot_count = 0

        @asynccontextmanager
        async def acquire_slot(
            self, job: ChatJob, deadline: float, check: StartGuard
        ) -> AsyncIterator[JobSlot[ChatJob, LeasedWorker[ScriptedWorkerSource]]]:
            self.slot_count += 1
            async with super().acquire_slot(job, deadline, check) as slot:
                yield slot

    worker_source = Slots(
        [[create_failure(ErrorKind.WORKER_EXITED)], [create_failure(ErrorKind.PROTOCOL_ERROR)], HELLO_EVENTS]
    )

    assert tuple(await collect_events(worker_source)) == HELLO_EVENTS
    assert (worker_source.slot_count, len(worker_source.jobs)) == (1, 3)


@pytest.mark.parametrize("kind", OTHER_KINDS)
async def test_does_not_retry_other_failures(kind: ErrorKind) -> None:
    worker_source = ScriptedWorkerSource.repeating(create_failure(kind))

    with pytest.raises(WorkerError) as raised:
        await collect_events(worker_source)

    assert raised.value.kind is kind
    assert len(worker_source.jobs) == 1


@pytest.mark.promise("limits.time")
async def test_both_attempts_share_one_deadline() -> None:
    worker_source = ScriptedWorkerSource([[create_failure(ErrorKind.UPSTREAM_DISCONNECTED)], HELLO_EVENTS])
    now = asyncio.get_running_loop().time()

    await collect_events(worker_source)

    first, second = worker_source.deadlines
    assert first == second
    assert first >= now + 60


async def test_disconnected_reader_releases_the_worker() -> None:
    worker_source = ScriptedWorkerSource([HELLO_EVENTS])
    events = each_event(ChatService(worker_source, 60).run(JOB))
    await anext(events)

    await events.aclose()

    assert worker_source.worker_released.is_set()


async def test_holds_the_worker_until_the_last_event() -> None:
    worker_source = ScriptedWorkerSource([HELLO_EVENTS])

    async for event in each_event(ChatService(worker_source, 60).run(JOB)):
        if event == FINISHED:
            assert not worker_source.worker_released.is_set()

    assert worker_source.worker_released.is_set()


class _RecordingPacer(RequestPacer):
    """A pacer that lets every request pass immediately, and records its key."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    def wait_seconds(self, key_id: str, now: float) -> float:
        self.keys.append(key_id)
        return super().wait_seconds(key_id, now)


async def test_reply_with_very_many_chunks_counts_as_several_requests() -> None:
    pacer = _RecordingPacer()
    chunks = [TextDelta("x")] * 300
    worker_source = ScriptedWorkerSource([[STARTED, *chunks, FINISHED]])

    events = [event async for event in each_event(ChatService(worker_source, 60, pacer=pacer).run(JOB))]

    assert events.count(TextDelta("x")) == 300
    assert pacer.keys == [JOB.key_id] * 2  # one request for 128 chunks
