"""How many jobs of a key there are at once, those that wait for a worker too."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from claude_gateway.access.keys import Key
from workers.errors import ErrorKind, WorkerError

# So many refused jobs of a key are told times of their own.
_MOST_TOLD = 100
_SMOOTHING = 0.2
_USUAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """When it came."""

    began: float


class JobsAtOnce:
    """`limit_of` says how many the owner of a job may have; None is no bound."""

    def __init__(self, limit_of: Callable[[str], int | None], now: Callable[[], float] = time.monotonic) -> None:
        self._limit_of = limit_of
        self._now = now
        # In the order in which they came, by key.
        self._begun: dict[str, list[_Job]] = {}
        # When those that were refused were told to come back, by key.
        self._told: dict[str, list[float]] = {}
        self._mean_seconds = _USUAL_SECONDS

    @contextmanager
    def job(self, owner: str) -> Iterator[Callable[[], None]]:
        """For the length of one. Yields a check to be made again before the job is begun: the limit may have become
        lower while it waited, and then those that came first are begun.

        Raises `WorkerError` at once where the owner has as many as he may, as the check does.
        """
        begun = self._begun.setdefault(owner, [])
        self._require_room(owner, begun, len(begun))
        job = _Job(self._now())
        begun.append(job)
        try:
            yield lambda: self._require_room(owner, begun, begun.index(job))
        finally:
            begun.remove(job)
            if not begun:
                self._begun.pop(owner, None)
                self._told.pop(owner, None)
            self._mean_seconds += _SMOOTHING * (self._now() - job.began - self._mean_seconds)

    def _require_room(self, owner: str, begun: Sequence[_Job], before: int) -> None:
        """`before`: how many came before this one."""
        limit = self._limit_of(owner)
        if limit is not None and before >= limit:
            raise WorkerError(
                ErrorKind.TOO_MANY_AT_ONCE,
                f"This key has {limit} jobs already, and may have no more at once. {_how_to_raise(owner)}",
                retry_after=self._turn_of_next(owner, begun),
            )

    def _turn_of_next(self, owner: str, begun: Sequence[_Job]) -> float:
        """Seconds until there is room for one more than those that were told to come back: when the next of the jobs
        has ended, if each takes as long as recent jobs did."""
        now = self._now()
        told = self._told[owner] = [moment for moment in self._told.get(owner, ()) if moment > now]
        rounds, which = divmod(len(told), len(begun))
        ends = begun[which].began + (rounds + 1) * self._mean_seconds
        wait = max(1.0, math.ceil(ends - now))
        if told:
            wait = max(wait, math.ceil(told[-1] - now + self._mean_seconds / len(begun)))
        if len(told) < _MOST_TOLD:
            told.append(now + wait)
        return wait


def _how_to_raise(owner: str) -> str:
    if Key(owner).is_stored:
        return (
            f"To allow this key more: `claude-gateway keys limit {owner} --concurrent N`; for every key, JOBS_AT_ONCE."
        )
    return "To allow more, raise JOBS_AT_ONCE."
