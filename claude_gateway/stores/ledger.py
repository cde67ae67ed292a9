"""The ledger of every key's jobs, in the database."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import orjson

from claude_gateway.ledger.entry import BEGUN, LOST, OK, Entry
from claude_gateway.ledger.usage import Counts, Grouping, Question, Report, UsageRow
from claude_gateway.stores.db import Database
from claude_gateway.stores.ledger_journal import Journal, Line

_log = logging.getLogger(__name__)

_COLUMNS = (
    *("id", "owner", "request_id", "number", "dialect", "route", "model_asked", "model", "session", "tools"),
    *("attempts", "begun_at", "queue_ms", "first_token_ms", "total_ms"),
    *("input", "output", "cache_read", "cache_write", "thinking", "cost_usd", "result"),
)
_VALUES = ", ".join(f"json_extract(value, '$[{index}]')" for index in range(len(_COLUMNS)))
_CHANGES = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
# Rows that are new and rows that have changed, as many as there are, in one statement.
_WRITE = (
    f"INSERT INTO ledger ({', '.join(_COLUMNS)}) SELECT {_VALUES} FROM json_each(?) WHERE true "  # noqa: S608
    # A line that was noted before the job's end may come again after it.
    f"ON CONFLICT (id) DO UPDATE SET {_CHANGES} WHERE excluded.result <> '{BEGUN}' OR ledger.result = '{BEGUN}'"
)
_GROUPS: dict[Grouping, str] = {
    "day": "date(begun_at, 'unixepoch')",
    "key": "owner",
    "model": "model",
    "dialect": "dialect",
    "result": "result",
}
_SUMS = (
    f"count(*), count(*) FILTER (WHERE result = '{OK}'), coalesce(sum(input), 0), coalesce(sum(output), 0), "
    "coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0), coalesce(sum(thinking), 0), "
    "coalesce(sum(cost_usd), 0), avg(queue_ms), avg(first_token_ms), avg(total_ms)"
)
# More gather only where the disk takes none for a while; making the statement holds up the event loop.
_WRITTEN_AT_ONCE = 500
# Deleting holds up whoever else wants to write.
_SWEPT_AT_ONCE = 1_000


class LedgerStore:
    """Without a journal, what is to survive a killed process has to be written."""

    def __init__(self, database: Database, journal: Journal | None = None) -> None:
        self._database = database
        self._journal = journal

    def note(self, entry: Entry) -> bool:
        """Whether it will survive a killed process as it stands now, though it is not written yet."""
        return self._journal is not None and self._journal.note(_row(entry))

    async def write(self, entries: Sequence[Entry]) -> None:
        """As they stand now, with which everything is written that was noted so far. What was written survives a killed
        process, not a machine that loses its power."""
        noted = self._journal.turn() if self._journal else None
        for at in range(0, len(entries), _WRITTEN_AT_ONCE):
            await self._write([_row(entry) for entry in entries[at : at + _WRITTEN_AT_ONCE]])
        if self._journal and noted is not None:
            self._journal.forget(noted)

    async def close_lost(self) -> int:
        """What a gateway had begun that did not live to its end. Returns how many those were."""
        await self._take_up()
        rows = await self._database.run(
            "UPDATE ledger SET result = ? WHERE result = ? RETURNING id",
            (LOST, BEGUN),
        )
        return len(rows)

    async def _take_up(self) -> None:
        """What a killed gateway had noted."""
        if self._journal is None:
            return
        lines = await asyncio.to_thread(self._journal.lines)
        if lines:
            # Of a job, the last. Another version's may have other columns.
            latest = {line[0]: line for line in lines if len(line) == len(_COLUMNS)}
            await self._write(list(latest.values()))
            _log.info("%d jobs were noted and not yet written by the gateway before this one", len(latest))
        self._journal.forget_all()

    async def _write(self, rows: Sequence[Line]) -> None:
        await self._database.run_lightly(_WRITE, (orjson.dumps(rows).decode(),))

    async def last_id(self) -> int:
        ((last,),) = await self._database.run("SELECT coalesce(max(id), 0) FROM ledger")
        return int(last)

    async def spent_since(self, moment: float) -> list[tuple[str, int, float]]:
        """Owner, tokens and US dollars."""
        return [
            (owner, tokens, usd)
            for owner, tokens, usd in await self._database.run(
                "SELECT owner, sum(input + output + cache_read + cache_write), coalesce(sum(cost_usd), 0) "
                "FROM ledger WHERE begun_at >= ? GROUP BY owner",
                (moment,),
            )
        ]

    async def usage(self, asked: Question, most: int) -> Report:
        """At most `most` groups, the latest day first."""
        groups = [_GROUPS[name] for name in asked.group_by]
        where = "begun_at >= ? AND begun_at < ?" + (" AND owner = ?" if asked.owner is not None else "")
        of = (asked.since, asked.until, *([asked.owner] if asked.owner is not None else []))
        by = f"GROUP BY {', '.join(groups)} ORDER BY {', '.join(f'{one} DESC' for one in groups)}" if groups else ""
        count = len(groups)
        # One statement, for a job that ends between two would be in one sum and not in the other. The total is first.
        (total, *rows) = await self._database.run(
            f"SELECT {'NULL, ' * count}{_SUMS} FROM ledger WHERE {where} UNION ALL "  # noqa: S608 - all from here
            f"SELECT * FROM (SELECT {', '.join([*groups, _SUMS])} FROM ledger WHERE {where} {by} LIMIT ?)",
            (*of, *of, most),
        )
        by_group = [UsageRow(tuple(map(str, row[:count])), Counts(*row[count:])) for row in rows]
        return Report(by_group, Counts(*total[count:]))

    async def sweep(self, before: float) -> int:
        """Returns how many rows went."""
        swept = 0
        while True:
            gone = await self._database.run(
                "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE begun_at < ? LIMIT ?) RETURNING id",
                (before, _SWEPT_AT_ONCE),
            )
            swept += len(gone)
            if len(gone) < _SWEPT_AT_ONCE:
                return swept


def _row(entry: Entry) -> tuple[Any, ...]:
    visit, used = entry.visit, entry.usage
    return (
        *(entry.id, entry.owner, visit.request_id, entry.number, visit.dialect, visit.route, visit.model, entry.model),
        *(int(visit.session), int(entry.tools), entry.attempts, entry.begun_at),
        *(_ms(entry, entry.taken), _ms(entry, entry.shown), _ms(entry, entry.ended)),
        *(used.input, used.output, used.cache_read, used.cache_write, used.thinking, entry.cost, entry.result),
    )


def _ms(entry: Entry, moment: float | None) -> float | None:
    seconds = entry.since_it_came(moment)
    return None if seconds is None else round(seconds * 1000, 2)
