"""How many jobs of a key there are at once, those that wait for a worker too."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workers.errors import ErrorKind, WorkerError

_SMOOTHING = 0.2
_USUAL_SECONDS = 5.0


class JobsAtOnce:
    """`limit_of` says how many the owner of a job may have; None is no bound."""

    def __init__(self, limit_of: Callable[[str], int | None], now: Callable[[], float] = time.monotonic) -> None:
        self._limit_of = limit_of
        self._now = now
        self._begun: dict[str, list[float]] = {}
        self._mean_seconds = _USUAL_SECONDS

    @contextmanager
    def job(self, owner: str) -> Iterator[None]:
        """For the length of one. Raises `WorkerError` at once where the owner has as many as he may."""
        limit = self._limit_of(owner)
        begun = self._begun.setdefault(owner, [])
        if limit is not None and len(begun) >= limit:
            raise WorkerError(
                ErrorKind.TOO_MANY_AT_ONCE,
                f"This key has {limit} jobs already, and may have no more at once.",
                retry_after=self._expected_wait(begun[0]),
            )
        began = self._now()
        begun.append(began)
        try:
            yield
        finally:
            begun.remove(began)
            if not begun:
                self._begun.pop(owner, None)
            self._mean_seconds += _SMOOTHING * (self._now() - began - self._mean_seconds)

    def _expected_wait(self, oldest: float) -> float:
        """Seconds until the oldest of them has ended, if it takes as long as recent jobs did."""
        return max(1.0, math.ceil(oldest + self._mean_seconds - self._now()))
