"""What the tests of several folders share."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from claude_gateway.stores.db import Database, open_database


@dataclass
class Clock:
    """The loop's, which stands still until a test sets it."""

    now: float


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock(asyncio.get_running_loop().time())
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: stopped.now, raising=False)
    return stopped


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "gateway.db") as opened:
        yield opened
