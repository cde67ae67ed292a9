"""Leases of workers: the login and the model of the job, and the errors that say whether another login may run it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

import pytest

from tests.workers.helpers import MODEL, far_deadline, make_job
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import Event, Started
from workers.core.job import ChatJob
from workers.core.login_limits import LimitReport, LimitStatus, LimitWindow
from workers.core.settings import AuthMethod
from workers.logins.leases import LoginLeases
from workers.logins.login_state import LoginState
from workers.logins.monitor import LoginMonitor
from workers.worker.cost_meter import CostCallback, ignore_cost
from workers.worker.prepared_job import PreparedJob, prepare_chat_job

REACHED = LimitReport(True, (LimitWindow("five_hour", LimitStatus.REJECTED, 1.0, 4_000_000_000.0),))


class FakeWorker:
    """A worker that records the jobs that it runs."""

    def __init__(self) -> None:
        self.jobs: list[ChatJob] = []

    async def run(
        self, prepared: PreparedJob, deadline: float, on_cost: CostCallback = ignore_cost
    ) -> AsyncGenerator[Event, None]:
        self.jobs.append(prepared.job)
        yield Started(prepared.job.model)


class FakePool:
    """A pool with one worker."""

    def __init__(self) -> None:
        self.worker = FakeWorker()
        self.leased: list[ChatJob] = []

    def expect(self, job: ChatJob) -> AbstractContextManager[None]:
        return nullcontext()

    @asynccontextmanager
    async def lease(self, job: PreparedJob, deadline: float) -> AsyncIterator[FakeWorker]:
        self.leased.append(job.job)
        yield self.worker


class Leases:
    def __init__(self, *, fallback: bool = True, counts_start_failures: bool = True) -> None:
        states = [
            LoginState("first", AuthMethod.CLI, model_names={MODEL: "provider-model"}),
            LoginState("second", AuthMethod.API_KEY),
        ]
        self.monitor = LoginMonitor(states, allows_fallback=fallback, now=lambda: 3_000_000_000.0)
        self.pool = FakePool()
        self.leases = LoginLeases(self.pool, self.monitor, counts_start_failures=counts_start_failures)
        self.prepared = prepare_chat_job(make_job())

    async def fail(self, error: WorkerError) -> WorkerError:
        async def run() -> None:
            async with self.leases.lease(self.prepared, far_deadline()):
                raise error

        with pytest.raises(WorkerError) as caught:
            await run()
        return caught.value


async def test_job_gets_its_login_and_the_name_of_its_model_at_the_provider() -> None:
    leases = Leases()
    async with leases.leases.lease(leases.prepared, far_deadline()) as leased:
        events = [event async for event in leased.run(leases.prepared, far_deadline())]
    (job,) = leases.pool.worker.jobs
    assert (job.login, job.model, leased.login) == ("first", "provider-model", "first")
    assert leases.pool.leased == [job]
    assert events == [Started("provider-model")]


async def test_limit_that_was_reached_while_the_job_waited_stops_the_job() -> None:
    async def run_after_limit() -> None:
        async with leases.leases.lease(leases.prepared, far_deadline()) as leased:
            leases.monitor.create_limit_callback("first")(REACHED, "provider-model")
            leased.run(leases.prepared, far_deadline())

    leases = Leases()
    with pytest.raises(WorkerError) as caught:
        await run_after_limit()
    assert caught.value.kind is ErrorKind.LOGIN_LIMIT_REACHED
    assert caught.value.is_retryable
    assert leases.pool.worker.jobs == []


async def test_next_attempt_gets_the_next_login() -> None:
    leases = Leases()
    assert (await leases.fail(WorkerError(ErrorKind.AUTHENTICATION, "x"))).is_retryable
    async with leases.leases.lease(leases.prepared, far_deadline()) as leased:
        assert leased.login == "second"


@pytest.mark.parametrize("kind", [ErrorKind.TIMEOUT, ErrorKind.INVALID_REQUEST, ErrorKind.OVERLOADED])
async def test_error_of_the_job_itself_is_raised_unchanged(kind: ErrorKind) -> None:
    leases, error = Leases(), WorkerError(kind, "x")
    assert await leases.fail(error) is error
    assert not error.is_retryable


async def test_rejected_login_is_reported_without_another_attempt_if_there_is_no_fallback() -> None:
    leases = Leases(fallback=False)
    assert not (await leases.fail(WorkerError(ErrorKind.AUTHENTICATION, "x"))).is_retryable
    assert leases.monitor.summarize()[0].is_rejected


@pytest.mark.parametrize("counts", [True, False])
async def test_pool_says_whether_a_failed_start_concerns_the_login(counts: bool) -> None:
    leases = Leases(counts_start_failures=counts)
    assert (await leases.fail(WorkerError(ErrorKind.START_FAILED, "x"))).is_retryable == counts
    assert (leases.monitor.summarize()[0].failure is not None) == counts
