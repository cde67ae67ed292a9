"""Tasks that a process is given in the tests."""

import os
from pathlib import Path

from claude_gateway.errors import ApiError


def add(one: int, other: int) -> int:
    return one + other


def pid() -> int:
    return os.getpid()


def refuse() -> None:
    raise ApiError(422, "validation_error", "no", code="refused", param="a", retry_after=3, extra={"details": [1]})


def fail() -> None:
    raise ValueError("nobody foresaw this")


def work_for_ever() -> None:
    while True:
        pass


def hoard(size: int) -> int:
    return len(bytearray(size))


def wait_for(path: str) -> None:
    """Until somebody opens the pipe and closes it."""
    Path(path).read_bytes()


def environment() -> dict[str, str]:
    return dict(os.environ)
