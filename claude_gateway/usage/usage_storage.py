"""The interface of objects that store usage records, and an implementation that stores nothing."""

from collections.abc import Sequence
from typing import Protocol

from claude_gateway.usage.record import UsageRecord
from claude_gateway.usage.report import EMPTY_SUMS, UsageQuery, UsageReport


class UsageStorage(Protocol):
    """Interface of objects that store usage records. The class `UsageStore` describes the methods in detail."""

    def write_ahead(self, record: UsageRecord) -> bool:
        """Append a record to the write-ahead log. Return whether the record now survives a killed process."""

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Write the current state of records to the storage."""

    async def mark_lost_jobs(self) -> int:
        """Mark the jobs that were running when an earlier gateway process exited. Return the count of these jobs."""

    async def last_id(self) -> int:
        """Return the highest id of the stored records, or 0 if no records are stored."""

    async def read_spend_since(self, timestamp: float) -> list[tuple[str, int, float]]:
        """Return what each key has spent on jobs that were created at the time `timestamp` or later.

        Returns:
            The id, the tokens and the US dollars of each key that has such jobs.
        """

    async def read_report(self, query: UsageQuery, max_groups: int, requesting_key_id: str) -> UsageReport:
        """Compute the usage report for a query."""

    async def fill_daily_sums(self) -> int:
        """Add the records that are missing from the daily sums to the sums. Return the count of the added records."""

    async def delete_before(self, timestamp: float) -> int:
        """Delete the records created before the time `timestamp`, and return the count of the deleted records."""


class NullUsageStore:
    """Implementation of `UsageStorage` that stores nothing. The methods return empty results."""

    def write_ahead(self, record: UsageRecord) -> bool:  # noqa: ARG002
        """Return True without storing the record."""
        return True

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Do nothing with the records."""

    async def mark_lost_jobs(self) -> int:
        """Return 0, because no jobs are stored."""
        return 0

    async def last_id(self) -> int:
        """Return 0, because no records are stored."""
        return 0

    async def read_spend_since(self, timestamp: float) -> list[tuple[str, int, float]]:  # noqa: ARG002
        """Return an empty list, because no records are stored."""
        return []

    async def read_report(self, query: UsageQuery, max_groups: int, requesting_key_id: str) -> UsageReport:  # noqa: ARG002
        """Return a report without jobs."""
        return UsageReport((), EMPTY_SUMS)

    async def fill_daily_sums(self) -> int:
        """Return 0, because there are no daily sums."""
        return 0

    async def delete_before(self, timestamp: float) -> int:  # noqa: ARG002
        """Return 0, because no records are stored."""
        return 0
