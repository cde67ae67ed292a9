"""One job as the ledger has it, and the request that it belongs to. Pure: times come from outside."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from workers.events import NOTHING_USED, Usage

# How a job ended, beside the names of `workers.errors.ErrorKind` in lower case.
BEGUN = "begun"
OK = "ok"
LEFT = "left"
LOST = "lost"
INTERNAL = "internal"


@dataclass(slots=True)
class Visit:
    """One request while it is answered, filled in by whoever learns of it: what its log line and its jobs say of it.
    `route` is the path as it stands in the routes, `model` the name that was asked for, `credential` the digest of the
    secret that the key came with."""

    request_id: str = ""
    dialect: str = ""
    route: str = ""
    key: str = ""
    model: str = ""
    session: bool = False
    entries: list["Entry"] = field(default_factory=list)
    # Its span, for whoever keeps traces.
    trace: Any = None
    credential: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Lines that wait for a disk that takes them, and those that were given up since the start."""

    waiting: int = 0
    lost: int = 0


# The request that the running task works for. What is made in the background takes it along.
VISIT: ContextVar[Visit | None] = ContextVar("visit", default=None)


@dataclass(slots=True, eq=False)
class Entry:
    """A job. `number` counts those of its request: choices, and answers that were asked for once more. `attempts` are
    the workers that took it; `is_next` once it was its turn to have one. `begun_at` is in seconds of the epoch, `came`
    and the rest in those of a clock that only goes forward; None is for what never was, also for a cost that the CLI
    never told."""

    id: int
    owner: str
    visit: Visit
    number: int
    tools: bool
    model: str
    begun_at: float
    came: float
    is_next: bool = False
    taken: float | None = None
    shown: float | None = None
    ended: float | None = None
    attempts: int = 0
    used_before: Usage = NOTHING_USED
    used: Usage = NOTHING_USED
    cost: float | None = None
    result: str = BEGUN

    @property
    def usage(self) -> Usage:
        """Of every attempt."""
        return self.used_before + self.used

    @property
    def tokens(self) -> int:
        used = self.usage
        return used.input + used.output + used.cache_read + used.cache_write

    def since_it_came(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self.came
