"""Read and write usage records in the database, update the daily sums of the records, and compute usage reports."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import orjson

from claude_gateway.storage.daily_sums import DAILY_SUM_TABLES, FILL_STATEMENTS, SPEND_SQL, select_sums_source
from claude_gateway.storage.database import Database, Execute, Row
from claude_gateway.storage.row_reader import read_rows, require_count, require_number, require_text, require_timestamp
from claude_gateway.usage.days import day_number, format_day
from claude_gateway.usage.record import GATEWAY_EXITED, OK, RUNNING, UsageRecord
from claude_gateway.usage.report import Grouping, UsageQuery, UsageReport, UsageRow, UsageSums
from claude_gateway.usage.write_ahead_log import RecordRow, WriteAheadLog

_log = logging.getLogger(__name__)

_RECORD_COLUMNS = (
    *("id", "key_id", "request_id", "number", "dialect", "route", "requested_model", "model", "session", "tools"),
    *("attempts", "created_at", "queue_ms", "first_token_ms", "total_ms"),
    *("input", "output", "cache_read", "cache_write", "thinking", "cost_usd", "result"),
    "login",
)
# The number of columns in the log of a version of the gateway that had only one login.
_COLUMN_COUNT_WITHOUT_LOGIN = len(_RECORD_COLUMNS) - 1
_VALUES_SQL = ", ".join(f"json_extract(value, '$[{index}]')" for index in range(len(_RECORD_COLUMNS)))
_UPDATES_SQL = ", ".join(f"{name} = excluded.{name}" for name in _RECORD_COLUMNS[1:])
# This statement inserts or updates any number of rows.
_UPSERT_SQL = (
    f"INSERT INTO usage_records ({', '.join(_RECORD_COLUMNS)}) SELECT {_VALUES_SQL} FROM json_each(?) WHERE true "  # noqa: S608
    # After a crash, the gateway may replay a row that it logged while the job ran, although the database already has
    # the final row of the job. The condition keeps the final row.
    f"ON CONFLICT (id) DO UPDATE SET {_UPDATES_SQL} "
    f"WHERE excluded.result <> '{RUNNING}' OR usage_records.result = '{RUNNING}'"
)
_GROUP_COLUMNS: dict[Grouping, str] = {
    "day": "day",
    "key": "key_id",
    "model": "model",
    "dialect": "dialect",
    "result": "result",
    "login": "login",
}
_SUMS_SQL = (
    f"coalesce(sum(jobs), 0), coalesce(sum(jobs) FILTER (WHERE result = '{OK}'), 0), coalesce(sum(input), 0), "
    "coalesce(sum(output), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0), "
    "coalesce(sum(thinking), 0), coalesce(sum(nano_usd), 0) / 1e9, sum(queue_us) / 1e3 / nullif(sum(queue_jobs), 0), "
    "sum(first_token_us) / 1e3 / nullif(sum(first_token_jobs), 0), sum(total_us) / 1e3 / nullif(sum(total_jobs), 0)"
)
_DAYS_SQL = "WHERE day >= :since AND day < :until"
_DAYS_OF_KEY_SQL = "WHERE day >= :since AND day < :until AND key_id = :key_id"
_SPEND_SINCE_SQL = f"SELECT key_id, {SPEND_SQL} WHERE created_at >= ? GROUP BY key_id"
# The gateway writes at most this many records with one statement, because encoding the records blocks the event loop.
# More records wait to be written only while the disk fails.
_MAX_WRITTEN_PER_STATEMENT = 500
# The gateway deletes at most this many records with one statement, and adds at most this many records to the daily sums
# in one transaction. Other writers have to wait until the statement or the transaction ends.
_MAX_DELETED_PER_STATEMENT = 500
_MAX_FILLED_PER_TRANSACTION = 1_000
_TEXT_COLUMNS = ("key_id", "request_id", "dialect", "route", "requested_model", "model", "result", "login")
_NUMBER_COLUMNS = ("queue_ms", "first_token_ms", "total_ms", "cost_usd")
_MAX_COUNT = 2**53
# A row with a higher id is damaged. If the gateway accepted it, later ids might not fit into the database.
_MAX_ID = 2**62


class UsageStore:
    """Reads and writes the usage records in the database.

    Args:
        database: The database of the gateway.
        write_ahead_log: Log of the records that are not in the database yet. Without a log, a record survives a killed
            process only after `write` has returned.
    """

    def __init__(self, database: Database, write_ahead_log: WriteAheadLog | None = None) -> None:
        self._database = database
        self._write_ahead_log = write_ahead_log

    def write_ahead(self, record: UsageRecord) -> bool:
        """Append the current state of a record to the write-ahead log.

        Returns:
            Whether the log contains the current state of the record, so that the state survives a killed process. This
            is False if there is no log or if the gateway cannot write to the log.
        """
        return self._write_ahead_log is not None and self._write_ahead_log.append(_to_row(record))

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Write the current state of records to the database, then empty the log file that contains these records.

        Written records survive a killed process, but may be lost if the machine loses power.

        Args:
            records: Records to write. They must include all records that the log contains.
        """
        log_file = self._write_ahead_log.rotate() if self._write_ahead_log else None
        for start in range(0, len(records), _MAX_WRITTEN_PER_STATEMENT):
            await self._write([_to_row(record) for record in records[start : start + _MAX_WRITTEN_PER_STATEMENT]])
        if self._write_ahead_log and log_file is not None:
            self._write_ahead_log.truncate_file(log_file)

    async def mark_lost_jobs(self) -> int:
        """Mark the jobs that were running when an earlier gateway process exited, and return the count of these jobs.

        Before that, the method writes the records that the earlier process left in the write-ahead log to the database.
        """
        await self._replay_write_ahead_log()
        rows = await self._database.execute(
            "UPDATE usage_records SET result = ? WHERE result = ? RETURNING id",
            (GATEWAY_EXITED, RUNNING),
        )
        return len(rows)

    async def _replay_write_ahead_log(self) -> None:
        """Write the rows that a killed gateway process left in the log to the database, and empty the log."""
        if self._write_ahead_log is None:
            return
        log_rows = await asyncio.to_thread(self._write_ahead_log.read_all)
        if log_rows:
            rows = read_rows(
                log_rows, check_record_row, lambda row: f"a line of the usage write-ahead log, {row!s:.80}"
            )
            latest_rows = list({row[0]: row for row in rows}.values())  # the last row of each job
            for start in range(0, len(latest_rows), _MAX_WRITTEN_PER_STATEMENT):
                await self._write(latest_rows[start : start + _MAX_WRITTEN_PER_STATEMENT])
            _log.info("%d usage records were recovered from the write-ahead log", len(latest_rows))
        self._write_ahead_log.truncate_all()

    async def _write(self, rows: Sequence[RecordRow]) -> None:
        await self._database.execute_nondurable(_UPSERT_SQL, (orjson.dumps(rows).decode(),))

    async def last_id(self) -> int:
        """Return the highest id of the records in the database, or 0 if the database has no records."""
        ((last,),) = await self._database.execute(
            "SELECT coalesce(max(id), 0) FROM usage_records WHERE id BETWEEN 0 AND ?", (_MAX_ID,)
        )
        return int(last)

    async def read_spend_since(self, timestamp: float) -> list[tuple[str, int, float]]:
        """Return what each key has spent on jobs that were created at the time `timestamp` or later.

        Returns:
            The id, the tokens and the US dollars of each key that has such jobs.
        """
        rows = await self._database.read(_SPEND_SINCE_SQL, (timestamp,))
        return [(str(key_id), tokens, usd) for key_id, tokens, usd in rows]

    async def read_report(self, query: UsageQuery, max_groups: int, requesting_key_id: str = "") -> UsageReport:
        """Compute the usage report for a query.

        Args:
            query: Selection of the jobs, and the columns by which the report groups them.
            max_groups: Maximum count of groups. The groups are sorted in descending order, so the latest days come
                first if the first column is the day.
            requesting_key_id: Id of the key that requests the report. The database computes the reports of one key one
                after another.
        """
        groups = [_GROUP_COLUMNS[name] for name in query.group_by]
        where = _DAYS_OF_KEY_SQL if query.key_id is not None else _DAYS_SQL
        parameters = {
            "since": day_number(query.since),
            "until": day_number(query.until),
            "key_id": query.key_id,
            "max_groups": max_groups,
        }
        selected_groups = f"{', '.join(groups)}, " if groups else ""
        group_and_order = f"GROUP BY {', '.join(groups)} HAVING sum(jobs) > 0 " if groups else ""
        group_and_order += f"ORDER BY {', '.join(f'{column} DESC' for column in groups)} " if groups else ""
        filter_columns = {"day", *([] if query.key_id is None else ["key_id"])}
        # Both statements read the same snapshot. Otherwise a job that ends between the two statements would be missing
        # from the total, but not from the rows.
        async with self._database.report_snapshot(requesting_key_id) as run:
            unfilled = await _unfilled_condition(run)
            (total,) = await run(
                f"SELECT {_SUMS_SQL} FROM {select_sums_source(filter_columns, unfilled)} {where}",  # noqa: S608
                parameters,
            )
            rows = await run(
                f"SELECT {selected_groups}{_SUMS_SQL} "  # noqa: S608 - the parts are constants
                f"FROM {select_sums_source({*filter_columns, *groups}, unfilled)} "
                f"{where} {group_and_order}LIMIT :max_groups",
                parameters,
            )
        return await asyncio.to_thread(_build_report, query, rows, total)

    async def fill_daily_sums(self) -> int:
        """Add the records that an older version of the gateway wrote without daily sums to the daily sums, in batches.

        Returns:
            Count of the records that the method has added.
        """
        await self._reset_sums_if_damaged()
        filled = 0
        while count := await self._fill_batch():
            filled += count
        return filled

    async def _reset_sums_if_damaged(self) -> None:
        """Delete all daily sums if the row with the range of records that are missing from the sums is damaged.

        No sum is reliable in this case. `fill_daily_sums` then adds all records to new sums.
        """
        async with self._database.transaction() as run:
            if await run("SELECT 1 FROM daily_sums_filled WHERE typeof(next) = 'integer' AND typeof(last) = 'integer'"):
                return
            _log.warning("the daily usage sums are damaged in the database and are computed again")
            for table in (*DAILY_SUM_TABLES, "daily_sums_filled"):
                await run(f"DELETE FROM {table}")  # noqa: S608 - the names are constants
            await run(
                "INSERT INTO daily_sums_filled SELECT 1, coalesce(min(id), 1), coalesce(max(id), 0) FROM usage_records"
            )

    async def _fill_batch(self) -> int:
        async with self._database.transaction() as run:
            ((first, last, count),) = await run(
                "SELECT min(id), max(id), count(*) FROM (SELECT id FROM usage_records, daily_sums_filled "
                "WHERE id BETWEEN next AND last ORDER BY id LIMIT ?)",
                (_MAX_FILLED_PER_TRANSACTION,),
            )
            if count:
                for statement in FILL_STATEMENTS:
                    await run(statement, (first, last))
            await run("UPDATE daily_sums_filled SET next = coalesce(? + 1, last + 1)", (last,))
        return int(count)

    async def delete_before(self, timestamp: float) -> int:
        """Delete the records created before the time `timestamp`, and the daily sums that have no records left.

        Returns:
            Count of the deleted records.
        """
        deleted_count = 0
        while True:
            deleted = await self._database.execute(
                "DELETE FROM usage_records "
                "WHERE id IN (SELECT id FROM usage_records WHERE created_at < ? LIMIT ?) RETURNING id",
                (timestamp, _MAX_DELETED_PER_STATEMENT),
            )
            deleted_count += len(deleted)
            if len(deleted) < _MAX_DELETED_PER_STATEMENT:
                break
        for table in DAILY_SUM_TABLES:
            # When the statement above deletes a record, a database trigger subtracts the record from the daily sums. A
            # row of sums remains even if its job count is zero, so delete these rows here.
            await self._database.execute(f"DELETE FROM {table} WHERE day < ? AND jobs <= 0", (day_number(timestamp),))  # noqa: S608
        return deleted_count


async def _unfilled_condition(execute: Execute) -> str:
    """Return an SQL condition that selects the records that are not in the daily sums yet.

    Returns:
        The condition; an empty string if the daily sums include all records.
    """
    for next_, last in await execute("SELECT next, last FROM daily_sums_filled WHERE next <= last"):
        return f"id BETWEEN {int(next_)} AND {int(last)}"
    return ""


def _build_report(query: UsageQuery, rows: Sequence[Row], total: Row) -> UsageReport:
    group_count = len(query.group_by)
    formats = [format_day if name == "day" else str for name in query.group_by]
    usage_rows = [
        UsageRow(
            tuple(format_(value) for format_, value in zip(formats, row, strict=False)), UsageSums(*row[group_count:])
        )
        for row in rows
    ]
    return UsageReport(usage_rows, UsageSums(*total))


def check_record_row(row: RecordRow) -> RecordRow:
    """Check the values in a row of the write-ahead log, and return the row with all columns.

    Raises one of the exceptions in `READ_ERRORS` if a value is invalid. A row that another version of the gateway wrote
    is also invalid if it has other columns.
    """
    if len(row) == _COLUMN_COUNT_WITHOUT_LOGIN:
        row = (*row, "")
    if len(row) != len(_RECORD_COLUMNS):
        raise ValueError(f"it has {len(row)} columns instead of {len(_RECORD_COLUMNS)}")
    for column, value in zip(_RECORD_COLUMNS, row, strict=True):
        _check_column_value(column, value)
    return row


def _check_column_value(column: str, value: object) -> None:
    if column == "id":
        if require_count(value) > _MAX_ID:
            raise ValueError("its id is out of range")
    elif column in _TEXT_COLUMNS:
        require_text(value)
    elif column == "created_at":
        require_timestamp(value)
    elif column in _NUMBER_COLUMNS:
        if value is not None:
            require_number(value)
    else:
        require_number(require_count(value), _MAX_COUNT)


def _to_row(record: UsageRecord) -> tuple[Any, ...]:
    context, usage = record.context, record.usage
    return (
        *(
            record.id,
            record.key_id,
            context.request_id,
            record.number,
            context.dialect,
            context.route,
            context.requested_model,
            record.model,
        ),
        *(int(context.has_session), int(record.has_tools), record.attempt_count, record.created_at),
        *(
            _elapsed_ms(record, record.started_monotonic),
            _elapsed_ms(record, record.first_output_monotonic),
            _elapsed_ms(record, record.ended_monotonic),
        ),
        *(
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.thinking_tokens,
            record.cost_usd,
            record.result,
        ),
        record.login,
    )


def _elapsed_ms(record: UsageRecord, monotonic: float | None) -> float | None:
    seconds = record.seconds_since_created(monotonic)
    return None if seconds is None else round(seconds * 1000, 2)
