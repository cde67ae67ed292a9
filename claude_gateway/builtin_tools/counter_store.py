"""Loads the counters of tool calls from the database at the start, and writes changed counters in batches."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from claude_gateway.builtin_tools.counters import ToolCounter, ToolCounters
from claude_gateway.core.errors import ApiError
from claude_gateway.core.periodic import run_every
from claude_gateway.storage.database import Database, Row
from claude_gateway.storage.row_reader import read_rows, require_count, require_number, require_text

_log = logging.getLogger(__name__)

# If the gateway is killed, the counts of at most this time are lost.
_WRITE_INTERVAL_SECONDS = 10.0


class ToolCountStore:
    """Stores the counters of tool calls in the database, so that a restart of the gateway does not reset them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, counts: ToolCounters) -> None:
        """Read all stored counters into `counts`."""
        async with self._database.transaction() as run:
            rows = await run("SELECT key_id, tool, calls, failed, denied, seconds FROM tool_counts")
        for key_id, tool, counter in read_rows(rows, read_tool_count, label_tool_count):
            counts.restore(key_id, tool, counter)

    async def write(self, counts: ToolCounters) -> None:
        """Write the counters that changed since the last write. If the write fails, they stay marked as unsaved."""
        unsaved = counts.take_unsaved()
        if not unsaved:
            return
        try:
            async with self._database.transaction() as run:
                for key_id, tool, counter in unsaved:
                    await run(
                        "INSERT INTO tool_counts (key_id, tool, calls, failed, denied, seconds) "
                        "VALUES (?, ?, ?, ?, ?, ?) "
                        "ON CONFLICT (key_id, tool) DO UPDATE SET calls = excluded.calls, failed = excluded.failed, "
                        "denied = excluded.denied, seconds = excluded.seconds",
                        (
                            key_id,
                            tool,
                            counter.call_count,
                            counter.failed_count,
                            counter.denied_count,
                            counter.total_seconds,
                        ),
                    )
        except BaseException:
            counts.unsaved |= {(key_id, tool) for key_id, tool, _ in unsaved}
            raise

    @asynccontextmanager
    async def run(self, counts: ToolCounters) -> AsyncIterator[None]:
        """Load the counters, then write them periodically and once more when the context closes."""
        await self.load(counts)
        try:
            async with run_every(
                _WRITE_INTERVAL_SECONDS, partial(self.write, counts), task_name="the writing of tool counters"
            ):
                yield
        finally:
            try:
                await self.write(counts)
            except ApiError as error:
                _log.error("the latest tool counts are lost, because they could not be written: %s", error)


def read_tool_count(row: Row) -> tuple[str, str, ToolCounter]:
    """Convert a database row to a key id, a tool name and a counter.

    Raises:
        Exception: One of `row_reader.READ_ERRORS` if the row is damaged.
    """
    key_id, tool, calls, failed, denied, seconds = row
    return (
        require_text(key_id),
        require_text(tool),
        ToolCounter(require_count(calls), require_count(failed), require_count(denied), require_number(seconds)),
    )


def label_tool_count(row: Row) -> str:
    """Return a text by which the log identifies the counter in a database row."""
    return f"the count of the tool {row[1]!r:.80} of the key {row[0]!r:.80}"
