"""Estimates of waiting time, with which the scheduler tells rejected clients when to retry. No I/O."""

import math

_SMOOTHING_FACTOR = 0.2
_MIN_WAIT_SECONDS = 1.0


class MeanDuration:
    """The average duration of recent jobs, as an exponentially weighted moving average.

    Attributes:
        seconds: The average. Before the first job has ended, it is the initial value.
    """

    def __init__(self, initial_seconds: float) -> None:
        self.seconds = initial_seconds

    def add(self, seconds: float) -> None:
        """Add the duration of a job that has ended."""
        self.seconds += _SMOOTHING_FACTOR * (seconds - self.seconds)


class RetryTimes:
    """The times at which rejected clients should send their requests again, so that not all send them at the same time.

    Times are in seconds, by any clock that never goes back.
    """

    def __init__(self, max_count: int) -> None:
        self._max_count = max_count
        # The times are in the order in which they were added.
        self._times: list[float] = []

    def list_pending(self, now: float) -> list[float]:
        """Remove the times that have passed. Return the other times in the order in which they were added."""
        self._times = [retry_at for retry_at in self._times if retry_at > now]
        return self._times

    def add(self, retry_at: float) -> None:
        """Add a time. Do nothing if the maximum number of times is reached."""
        if len(self._times) < self._max_count:
            self._times.append(retry_at)


def round_wait_seconds(seconds: float) -> float:
    """Round a wait up to whole seconds. The result is at least one second."""
    return max(_MIN_WAIT_SECONDS, math.ceil(seconds))
