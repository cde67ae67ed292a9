"""How much a server may send within a while, whatever it is: more is a flood, of which the reading alone would keep the
gateway from its work. Pure; the clock is handed in."""

from collections.abc import Callable
from typing import NoReturn

from claude_gateway.mcp_servers.bounds import Bounds

_FLOODED = "it sent more than {0.flood_lines} lines or {0.flood_bytes} bytes within {0.flood_seconds:g} seconds"
_TOO_MANY_VALUES = "it sent more than {0.flood_values} values within {0.flood_seconds:g} seconds"


class Overrun(Exception):
    """It sends more than anybody could use: nothing more of it is read. The text says which bound it passed."""


class Gauge:
    """Of one connection, all its streams together. Lines are counted, for every message is at least one, and what is
    no message is made of them too. `on_overrun` is told once, and why."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float], on_overrun: Callable[[str], None]) -> None:
        self.bounds = bounds
        self._clock = clock
        self._on_overrun = on_overrun
        self._began = clock()
        self._lines = 0
        self._bytes = 0
        self._values = 0
        self._overrun = ""

    def take(self, data: bytes) -> None:
        """Raises `Overrun`, from then on always."""
        if self._overrun:
            raise Overrun(self._overrun)
        if self._clock() - self._began >= self.bounds.flood_seconds:
            self._began, self._lines, self._bytes, self._values = self._clock(), 0, 0, 0
        self._lines += data.count(b"\n") + data.count(b"\r")
        self._bytes += len(data)
        if self._lines > self.bounds.flood_lines or self._bytes > self.bounds.flood_bytes:
            self.refuse(_FLOODED)

    def count_values(self, number: int) -> None:
        """Of what was taken. Raises `Overrun`."""
        self._values += number
        if self._values > self.bounds.flood_values:
            self.refuse(_TOO_MANY_VALUES)

    def refuse(self, why: str) -> NoReturn:
        """Nothing more of this server is read; `why` is a template of `Bounds`. Raises `Overrun`."""
        if not self._overrun:
            self._overrun = why.format(self.bounds)
            self._on_overrun(self._overrun)
        raise Overrun(self._overrun)
