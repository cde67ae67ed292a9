"""How much servers may send within a while, whatever it is: more is a flood, of which the reading alone would keep the
gateway from its work. Pure; the clock is handed in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from claude_gateway.mcp_servers.bounds import Bounds

_WITHIN = "within {0.flood_seconds:g} seconds, alone or with other servers of its key"
_FLOODED = f"it sent more than {{0.flood_lines}} lines or {{0.flood_bytes}} bytes {_WITHIN}"
_TOO_MANY_VALUES = f"it sent more than {{0.flood_values}} values {_WITHIN}"


class Overrun(Exception):
    """It sends more than anybody could use: nothing more of it is read. The text says which bound it passed."""


@dataclass(slots=True, weakref_slot=True)
class Volume:
    """What was sent since a moment: by one server, or by all of a key."""

    began: float
    lines: int = 0
    bytes: int = 0
    values: int = 0

    def begin_anew(self, now: float, seconds: float) -> None:
        """Where the while is over."""
        if now - self.began >= seconds:
            self.began, self.lines, self.bytes, self.values = now, 0, 0, 0


class Gauge:
    """Of one connection, all its streams together. Lines are counted, for every message is at least one, and what is
    no message is made of them too.

    Args:
        bounds: What one server may send; all servers of a key together may send no more than that either.
        clock: In seconds.
        on_overrun: Told once that the server is beyond the bounds, and why.
        of_key: What the key's servers sent together. Where that is too much, a server is beyond the bounds that has
            sent more than its part, so that a loud one does not silence the others.
    """

    def __init__(
        self,
        bounds: Bounds,
        clock: Callable[[], float],
        on_overrun: Callable[[str], None],
        of_key: Volume | None = None,
    ) -> None:
        self.bounds = bounds
        self._clock = clock
        self._on_overrun = on_overrun
        self._own = Volume(clock())
        self._of_key = of_key or Volume(clock())
        self._overrun = ""

    def take(self, data: bytes) -> None:
        """Raises `Overrun`, from then on always."""
        if self._overrun:
            raise Overrun(self._overrun)
        lines = data.count(b"\n") + data.count(b"\r")
        for volume in (self._own, self._of_key):
            volume.begin_anew(self._clock(), self.bounds.flood_seconds)
            volume.lines += lines
            volume.bytes += len(data)
        if self._is_too_much(self._own.lines, self._of_key.lines, self.bounds.flood_lines) or self._is_too_much(
            self._own.bytes, self._of_key.bytes, self.bounds.flood_bytes
        ):
            self.refuse(_FLOODED)

    def count_values(self, number: int) -> None:
        """Of what was taken. Raises `Overrun`."""
        self._own.values += number
        self._of_key.values += number
        if self._is_too_much(self._own.values, self._of_key.values, self.bounds.flood_values):
            self.refuse(_TOO_MANY_VALUES)

    def refuse(self, why: str) -> NoReturn:
        """Nothing more of this server is read; `why` is a template of `Bounds`. Raises `Overrun`."""
        if not self._overrun:
            self._overrun = why.format(self.bounds)
            self._on_overrun(self._overrun)
        raise Overrun(self._overrun)

    def _is_too_much(self, own: int, of_key: int, most: int) -> bool:
        return own > most or (of_key > most and own * max(self.bounds.servers, 1) > most)
