"""Limits the concurrent jobs of each key, including jobs that wait for a worker."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from claude_gateway.auth.models import ApiKey
from workers.core.errors import ErrorKind, WorkerError
from workers.scheduling.wait_estimate import MeanDuration, RetryTimes, round_wait_seconds

# Maximum number of a key's rejected jobs that each get a different retry time.
_MAX_RETRY_TIMES_PER_KEY = 100
_INITIAL_JOB_SECONDS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A job that a client has requested."""

    started_monotonic: float


class ConcurrencyLimiter:
    """Limits the jobs that each key has at one time, running or waiting.

    Args:
        get_limit: Returns the limit for a key id; None means that there is no limit.
        now: Monotonic clock in seconds.
    """

    def __init__(self, get_limit: Callable[[str], int | None], now: Callable[[], float] = time.monotonic) -> None:
        self._get_limit = get_limit
        self._now = now
        # The jobs of each key id, with the oldest job first.
        self._active_jobs: dict[str, list[_Job]] = {}
        # For each key id, the retry times that rejected jobs have got.
        self._retry_times: dict[str, RetryTimes] = {}
        self._mean_job = MeanDuration(_INITIAL_JOB_SECONDS)

    @contextmanager
    def acquire(self, key_id: str) -> Iterator[Callable[[], None]]:
        """Count one more job of the key while the context is open. The method never waits.

        Yields:
            A function to call directly before the job starts. If the operator lowered the limit while the job waited,
            the function raises an error for all jobs except the oldest ones.

        Raises:
            WorkerError: CONCURRENCY_LIMIT if the key already has as many jobs as it may have. The yielded function
                raises the same error.
        """
        active_jobs = self._active_jobs.setdefault(key_id, [])
        self._check_limit(key_id, active_jobs, len(active_jobs))
        job = _Job(self._now())
        active_jobs.append(job)
        try:
            yield lambda: self._check_limit(key_id, active_jobs, active_jobs.index(job))
        finally:
            active_jobs.remove(job)
            if not active_jobs:
                self._active_jobs.pop(key_id, None)
                self._retry_times.pop(key_id, None)
            self._mean_job.add(self._now() - job.started_monotonic)

    def _check_limit(self, key_id: str, active_jobs: Sequence[_Job], earlier_count: int) -> None:
        """Raise `WorkerError` if the jobs that the key requested earlier already reach the key's limit."""
        limit = self._get_limit(key_id)
        if limit is not None and earlier_count >= limit:
            raise WorkerError(
                ErrorKind.CONCURRENCY_LIMIT,
                f"This key already has {limit} concurrent jobs, which is its limit. {_limit_hint(key_id)}",
                retry_after=self._retry_after_seconds(key_id, active_jobs),
            )

    def _retry_after_seconds(self, key_id: str, active_jobs: Sequence[_Job]) -> float:
        """Return the estimated seconds until a rejected job can start.

        Rejected jobs that already have a retry time start first. The estimate assumes that each active job takes as
        long as the recent jobs took.
        """
        now = self._now()
        retry_times = self._retry_times.setdefault(key_id, RetryTimes(_MAX_RETRY_TIMES_PER_KEY))
        pending = retry_times.list_pending(now)
        rounds, index = divmod(len(pending), len(active_jobs))
        job_end = active_jobs[index].started_monotonic + (rounds + 1) * self._mean_job.seconds
        wait = round_wait_seconds(job_end - now)
        if pending:
            wait = max(wait, round_wait_seconds(pending[-1] - now + self._mean_job.seconds / len(active_jobs)))
        retry_times.add(now + wait)
        return wait


def _limit_hint(key_id: str) -> str:
    if ApiKey(key_id).is_stored:
        return (
            f"To allow this key more: `claude-gateway keys update {key_id} --max-concurrent-jobs N`; "
            "for every key, MAX_CONCURRENT_JOBS_PER_KEY."
        )
    return "To allow more, raise MAX_CONCURRENT_JOBS_PER_KEY."
