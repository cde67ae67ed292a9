"""A clock that a test controls, in place of `time.time`, `time.monotonic` or the time of an event loop."""


class ManualClock:
    """A clock that stands still until a test sets `now`. All values are in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
