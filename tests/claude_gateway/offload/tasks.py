"""Tasks that the tests run in task processes."""

import os
from pathlib import Path

from claude_gateway.core.errors import ApiError


def add(left: int, right: int) -> int:
    return left + right


def get_pid() -> int:
    return os.getpid()


def raise_api_error() -> None:
    raise ApiError(422, "validation_error", "no", code="refused", param="a", retry_after=3, extra={"details": [1]})


def raise_value_error() -> None:
    raise ValueError("unexpected")


def loop_forever() -> None:
    while True:
        pass


def allocate(size_bytes: int) -> int:
    return len(bytearray(size_bytes))


def wait_for_pipe(path: str) -> None:
    """Wait until another process opens the pipe and closes it."""
    Path(path).read_bytes()


def get_environment() -> dict[str, str]:
    return dict(os.environ)
