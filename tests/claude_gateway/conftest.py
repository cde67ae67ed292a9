"""Fixtures that several folders of tests use."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude_gateway.storage.database import Database, open_database
from tests.claude_gateway.manual_clock import ManualClock


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Replace the clock of the event loop."""
    manual_clock = ManualClock(asyncio.get_running_loop().time())
    monkeypatch.setattr(asyncio.get_running_loop(), "time", manual_clock, raising=False)
    return manual_clock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "gateway.db") as open_db:
        yield open_db
