"""Leases of workers that count the attempts of each login. They are between the queue and the pool."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from workers.core.events import EventStream
from workers.core.job import ChatJob
from workers.logins.monitor import LoginAttempt, LoginMonitor
from workers.scheduling.scheduler import LeasablePool
from workers.worker.cost_meter import CostCallback, ignore_cost
from workers.worker.prepared_job import PreparedJob


class JobRunner(Protocol):
    """A worker, as far as a lease uses it."""

    def run(self, prepared: Any, deadline: float, on_cost: CostCallback = ignore_cost) -> EventStream:
        """Run a job."""
        ...


P = TypeVar("P", bound=PreparedJob)
W = TypeVar("W", bound=JobRunner)


@dataclass(frozen=True, slots=True)
class LeasedWorker(Generic[W]):
    """A worker that runs a job with one login.

    Attributes:
        worker: The worker.
    """

    worker: W
    _attempt: LoginAttempt
    _assigned: Any

    @property
    def login(self) -> str:
        """The name of the login."""
        return self._attempt.login

    def run(self, _: Any, deadline: float, on_cost: CostCallback = ignore_cost) -> EventStream:
        """Run the job for which the worker is leased.

        Raises:
            WorkerError: LOGIN_LIMIT_REACHED if a limit of the login was reached since the job got the worker. The
                events of the job raise further errors.
        """
        self._attempt.ensure_allowed()
        return self.worker.run(self._assigned, deadline, on_cost)

    def report_accepted(self) -> None:
        """Record that the upstream has accepted the job."""
        self._attempt.report_accepted()


class LoginLeases(Generic[P, W]):
    """Leases the workers of a pool to jobs, each with the login that the monitor chooses."""

    def __init__(self, pool: LeasablePool[P, W], monitor: LoginMonitor, *, counts_start_failures: bool = True) -> None:
        """Create the leases of a pool.

        Args:
            pool: The pool.
            monitor: The monitor of the logins.
            counts_start_failures: Whether a login has failed if none of its processes starts in this pool. It is false
                for agents, whose start may also fail because of their sandbox or disk.
        """
        self._pool = pool
        self._monitor = monitor
        self._counts_start_failures = counts_start_failures

    def expect(self, job: ChatJob) -> AbstractContextManager[None]:
        """Announce to the pool during a `with` block that a job waits for a slot."""
        return self._pool.expect(job)

    @asynccontextmanager
    async def lease(self, prepared: P, deadline: float) -> AsyncIterator[LeasedWorker[W]]:
        """Lease a worker to one job during a `with` block. The job must raise its errors in the block.

        Raises:
            WorkerError: The errors of `LoginMonitor.attempt` and of the pool.
        """
        async with self._monitor.attempt(prepared.job, counts_start_failures=self._counts_start_failures) as attempt:
            job = replace(prepared.job, login=attempt.login, model=attempt.model)
            assigned = replace(prepared, job=job)
            async with self._pool.lease(assigned, deadline) as worker:
                yield LeasedWorker(worker, attempt, assigned)
