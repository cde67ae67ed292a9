"""How much a server may send within a while, whatever it is: more is a flood, of which the reading alone would keep the
gateway from its work. Pure; the clock is handed in."""

from collections.abc import Callable

from claude_gateway.mcp_servers.bounds import Bounds


class Overrun(Exception):
    """It sends more than anybody could use: nothing more of it is read."""


class Gauge:
    """Of one connection, all its streams together. Lines are counted, for every message is at least one, and what is
    no message is made of them too. `on_overrun` is told once."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float], on_overrun: Callable[[], None]) -> None:
        self._bounds = bounds
        self._clock = clock
        self._on_overrun = on_overrun
        self._began = clock()
        self._lines = 0
        self._bytes = 0
        self._overrun = False

    def take(self, data: bytes) -> None:
        """Raises `Overrun`, from then on always."""
        if self._clock() - self._began >= self._bounds.flood_seconds:
            self._began, self._lines, self._bytes = self._clock(), 0, 0
        self._lines += data.count(b"\n") + data.count(b"\r")
        self._bytes += len(data)
        if self._overrun:
            raise Overrun
        if self._lines > self._bounds.flood_lines or self._bytes > self._bounds.flood_bytes:
            self._overrun = True
            self._on_overrun()
            raise Overrun
