"""Which processes there are, for whoever watches. Frozen data."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Post:
    """A process and what it is at. `owner` is None until a key first used it, `jobs` what it has done so far."""

    kind: Literal["chat", "agent"]
    pid: int
    phase: str
    owner: str | None
    model: str
    jobs: int
