"""Fixtures that several folders of tests use."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from claude_gateway.storage.database import Database, open_database


@dataclass
class FrozenClock:
    """A clock of the event loop that stands still until a test sets it."""

    now: float


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> FrozenClock:
    frozen_clock = FrozenClock(asyncio.get_running_loop().time())
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: frozen_clock.now, raising=False)
    return frozen_clock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "gateway.db") as open_db:
        yield open_db
