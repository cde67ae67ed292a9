"""What the tests of several folders share."""

import asyncio
from dataclasses import dataclass

import pytest


@dataclass
class Clock:
    """The loop's, which stands still until a test sets it."""

    now: float


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock(asyncio.get_running_loop().time())
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: stopped.now, raising=False)
    return stopped
