"""How many jobs of a key there are at once, those that wait for a worker too."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from claude_gateway.access.keys import Key
from workers.errors import ErrorKind, WorkerError

# So many refused jobs of a key are told times of their own.
_MOST_TOLD = 100
_SMOOTHING = 0.2
_USUAL_SECONDS = 5.0


class JobsAtOnce:
    """`limit_of` says how many the owner of a job may have; None is no bound."""

    def __init__(self, limit_of: Callable[[str], int | None], now: Callable[[], float] = time.monotonic) -> None:
        self._limit_of = limit_of
        self._now = now
        self._begun: dict[str, list[float]] = {}
        # When those that were refused were told to come back, by key.
        self._told: dict[str, list[float]] = {}
        self._mean_seconds = _USUAL_SECONDS

    @contextmanager
    def job(self, owner: str) -> Iterator[None]:
        """For the length of one. Raises `WorkerError` at once where the owner has as many as he may."""
        limit = self._limit_of(owner)
        begun = self._begun.setdefault(owner, [])
        if limit is not None and len(begun) >= limit:
            raise WorkerError(
                ErrorKind.TOO_MANY_AT_ONCE,
                f"This key has {limit} jobs already, and may have no more at once. {_how_to_raise(owner)}",
                retry_after=self._turn_of_next(owner, begun),
            )
        began = self._now()
        begun.append(began)
        try:
            yield
        finally:
            begun.remove(began)
            if not begun:
                self._begun.pop(owner, None)
                self._told.pop(owner, None)
            self._mean_seconds += _SMOOTHING * (self._now() - began - self._mean_seconds)

    def _turn_of_next(self, owner: str, begun: Sequence[float]) -> float:
        """Seconds until there is room for one more than those that were told to come back: when the next of the jobs
        has ended, if each takes as long as recent jobs did."""
        now = self._now()
        told = self._told[owner] = [moment for moment in self._told.get(owner, ()) if moment > now]
        rounds, which = divmod(len(told), len(begun))
        ends = begun[which] + (rounds + 1) * self._mean_seconds
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
