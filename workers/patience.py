"""How long a process may be silent where the next word is its own, not the upstream's.

One that is well says it in milliseconds; the rest is for a machine that is not. One that is stopped or stuck is given
up, and its job goes to another, long before it would cost its caller all his time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from workers.errors import ErrorKind, WorkerError
from workers.frames import Frame
from workers.link import Link

SECONDS = 30.0
# Meanwhile it answers whatever else it is asked, at once.
_SIGN_OF_LIFE_SECONDS = 8.0
# So long it may be silent also where little time is left: on a busy machine, one that is well needs some of it.
_MIN_SECONDS = 1.0


class Patience:
    def __init__(self, link: Link, seconds: float = SECONDS) -> None:
        self._link = link
        self._seconds = seconds

    def soon(self, deadline: float) -> float:
        """When it must have reacted, so that there is time for another try in another process."""
        return _within(self._seconds, deadline)

    @asynccontextmanager
    async def attentive(self, deadline: float) -> AsyncIterator[None]:
        """Where time is up before the `deadline`, it is the process that cannot be trusted. Raises `WorkerError`."""
        try:
            yield
        except WorkerError as error:
            if error.kind is ErrorKind.TIMEOUT and _now() < deadline:
                raise self._link.distrust("it does not react") from error
            raise

    async def next(self, sign_of_life: Callable[[], Frame], deadline: float) -> Frame:
        """The next frame of an answer, for which a model may take its time; not so the process, for a sign of life. It
        is asked for one early enough to leave time for another try."""
        while True:
            try:
                return await self._link.next(_within(self._seconds, deadline))
            except WorkerError as error:
                async with self.attentive(deadline):
                    await self._asked_for_life(error, sign_of_life, deadline)

    async def _asked_for_life(self, error: WorkerError, sign_of_life: Callable[[], Frame], deadline: float) -> None:
        """After a silence: another request, of the kind that is answered at once, tells a process that waits for the
        upstream from one that is frozen. Raises `WorkerError`."""
        if error.kind is not ErrorKind.TIMEOUT or _now() >= deadline:
            raise error
        until = _within(min(_SIGN_OF_LIFE_SECONDS, self._seconds), deadline)
        await self._link.write(sign_of_life(), deadline=until)
        await self._link.heard(until)


def _within(seconds: float, deadline: float) -> float:
    left = deadline - _now()
    return _now() + min(seconds, left, max(left / 3, _MIN_SECONDS))


def _now() -> float:
    return asyncio.get_running_loop().time()
