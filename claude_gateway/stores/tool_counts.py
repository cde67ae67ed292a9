"""How often Claude's own tools were used, kept over a restart: read once, written in batches."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from claude_gateway.errors import ApiError
from claude_gateway.own_tools.counts import ToolCount, ToolCounts
from claude_gateway.stores.damage import count, number, readable, text
from claude_gateway.stores.db import Database, Row

_log = logging.getLogger(__name__)

# A gateway that is killed loses no more than these.
_WRITE_SECONDS = 10.0


class ToolCountStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, counts: ToolCounts) -> None:
        async with self._database.transaction() as run:
            rows = await run("SELECT owner, tool, calls, failed, denied, seconds FROM tool_counts")
        for owner, tool, found in readable(rows, read_count, name_count):
            counts.put_back(owner, tool, found)

    async def write(self, counts: ToolCounts) -> None:
        """What has changed since it was last written."""
        changed = counts.take_changed()
        if not changed:
            return
        try:
            async with self._database.transaction() as run:
                for owner, tool, now in changed:
                    await run(
                        "INSERT INTO tool_counts (owner, tool, calls, failed, denied, seconds) "
                        "VALUES (?, ?, ?, ?, ?, ?) "
                        "ON CONFLICT (owner, tool) DO UPDATE SET calls = excluded.calls, failed = excluded.failed, "
                        "denied = excluded.denied, seconds = excluded.seconds",
                        (owner, tool, now.calls, now.failed, now.denied, now.seconds),
                    )
        except BaseException:
            counts.changed |= {(owner, tool) for owner, tool, _ in changed}
            raise

    @asynccontextmanager
    async def keeping(self, counts: ToolCounts) -> AsyncIterator[None]:
        """They are read, and written every few seconds and at the end, for the length of a `with`."""
        await self.read(counts)
        task = asyncio.create_task(self._write_for_ever(counts))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            try:
                await self.write(counts)
            except ApiError as error:
                _log.error("the latest counts of tools are lost: %s", error)

    async def _write_for_ever(self, counts: ToolCounts) -> None:
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            try:
                await self.write(counts)
            except ApiError:
                _log.exception("the counts of tools could not be written")


def read_count(row: Row) -> tuple[str, str, ToolCount]:
    """Raises one of `damage.UNREADABLE`."""
    owner, tool, calls, failed, denied, seconds = row
    return text(owner), text(tool), ToolCount(count(calls), count(failed), count(denied), number(seconds))


def name_count(row: Row) -> str:
    return f"the count of the tool {row[1]!r:.80} of the key {row[0]!r:.80}"
