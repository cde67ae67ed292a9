"""A timer that a test controls, in place of `asyncio.sleep`."""

import asyncio


class ManualTimer:
    """Replaces `asyncio.sleep` for one task; each sleep lasts until the test calls `tick`.

    Attributes:
        intervals: Seconds of each sleep that the task requested, in order.
    """

    def __init__(self) -> None:
        self.intervals: list[float] = []
        self._asleep = asyncio.Event()
        self._wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait for the next tick."""
        self.intervals.append(seconds)
        self._asleep.set()
        await self._wake.wait()
        self._wake.clear()

    async def wait_asleep(self) -> None:
        """Wait until the task sleeps."""
        await self._asleep.wait()

    async def tick(self) -> None:
        """Wake the sleeping task and wait until it sleeps again."""
        await self._asleep.wait()
        self._asleep.clear()
        self._wake.set()
        await self._asleep.wait()
