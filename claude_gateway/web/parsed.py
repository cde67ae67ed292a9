"""What every dialect makes of a request, as far as its answer is concerned."""

from collections.abc import Sequence
from typing import Protocol

from workers.job import ChatJob


class Parsed(Protocol):
    @property
    def job(self) -> ChatJob: ...
    @property
    def warnings(self) -> Sequence[str]: ...
