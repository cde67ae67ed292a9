"""The ledger of every key's jobs, in the database."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import orjson

from claude_gateway.ledger.days import day_of, name_of
from claude_gateway.ledger.entry import BEGUN, LOST, OK, Entry
from claude_gateway.ledger.usage import Counts, Grouping, Question, Report, UsageRow
from claude_gateway.stores.daily_sums import FILL, SPENT, TABLES, source
from claude_gateway.stores.damage import count, moment, number, readable, text
from claude_gateway.stores.db import Database, Row, Run
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
    "day": "day",
    "key": "owner",
    "model": "model",
    "dialect": "dialect",
    "result": "result",
}
_SUMS = (
    f"coalesce(sum(jobs), 0), coalesce(sum(jobs) FILTER (WHERE result = '{OK}'), 0), coalesce(sum(input), 0), "
    "coalesce(sum(output), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0), "
    "coalesce(sum(thinking), 0), coalesce(sum(nano_usd), 0) / 1e9, sum(queue_us) / 1e3 / nullif(sum(queue_jobs), 0), "
    "sum(first_token_us) / 1e3 / nullif(sum(first_token_jobs), 0), sum(total_us) / 1e3 / nullif(sum(total_jobs), 0)"
)
# More gather only where the disk takes none for a while; making the statement holds up the event loop.
_WRITTEN_AT_ONCE = 500
# Deleting holds up whoever else wants to write; so does adding up old lines.
_SWEPT_AT_ONCE = 500
_FILLED_AT_ONCE = 1_000
_TEXTS = ("owner", "request_id", "dialect", "route", "model_asked", "model", "result")
_NUMBERS = ("queue_ms", "first_token_ms", "total_ms", "cost_usd")
_MAX_COUNT = 2**53
# Numbers above it are no job's: the next one would not fit into the database.
_MAX_ID = 2**62


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
            found = readable(lines, read_line, lambda line: f"a line of the ledger's journal, {line!s:.80}")
            # Of a job, the last.
            latest = list({line[0]: line for line in found}.values())
            for at in range(0, len(latest), _WRITTEN_AT_ONCE):
                await self._write(latest[at : at + _WRITTEN_AT_ONCE])
            _log.info("%d jobs were noted and not yet written by the gateway before this one", len(latest))
        self._journal.forget_all()

    async def _write(self, rows: Sequence[Line]) -> None:
        await self._database.run_lightly(_WRITE, (orjson.dumps(rows).decode(),))

    async def last_id(self) -> int:
        ((last,),) = await self._database.run(
            "SELECT coalesce(max(id), 0) FROM ledger WHERE id BETWEEN 0 AND ?", (_MAX_ID,)
        )
        return int(last)

    async def spent_since(self, moment: float) -> list[tuple[str, int, float]]:
        """Owner, tokens and US dollars of the jobs begun since."""
        rows = await self._database.read(f"SELECT owner, {SPENT} WHERE begun_at >= ? GROUP BY owner", (moment,))
        return [(str(owner), tokens, usd) for owner, tokens, usd in rows]

    async def usage(self, asked: Question, most: int, asker: str = "") -> Report:
        """At most `most` groups, the latest day first. `asker` is the key whose request it is."""
        groups = [_GROUPS[name] for name in asked.group_by]
        where = "day >= :since AND day < :until" + (" AND owner = :owner" if asked.owner is not None else "")
        of = {"since": day_of(asked.since), "until": day_of(asked.until), "owner": asked.owner, "most": most}
        names = f"{', '.join(groups)}, " if groups else ""
        by = f"GROUP BY {', '.join(groups)} HAVING sum(jobs) > 0 " if groups else ""
        by += f"ORDER BY {', '.join(f'{one} DESC' for one in groups)} " if groups else ""
        wanted = {"day", *([] if asked.owner is None else ["owner"])}
        # In one snapshot: a job that ends between two statements would be in one sum and not in the other.
        async with self._database.report(asker) as run:
            unfilled = await _unfilled(run)
            (total,) = await run(f"SELECT {_SUMS} FROM {source(wanted, unfilled)} WHERE {where}", of)  # noqa: S608
            rows = await run(
                f"SELECT {names}{_SUMS} FROM {source({*wanted, *groups}, unfilled)} "  # noqa: S608 - all from here
                f"WHERE {where} {by}LIMIT :most",
                of,
            )
        return await asyncio.to_thread(_report, asked, rows, total)

    async def fill_sums(self) -> int:
        """Add the lines of an older database to the sums by day, in slices. Returns how many lines those were."""
        await self._begin_anew_if_lost()
        filled = 0
        while count := await self._fill_slice():
            filled += count
        return filled

    async def _begin_anew_if_lost(self) -> None:
        """Without the row that says which lines are in the sums, no sum can be believed."""
        async with self._database.transaction() as run:
            if await run("SELECT 1 FROM daily_sums_filled WHERE typeof(next) = 'integer' AND typeof(last) = 'integer'"):
                return
            _log.warning("the sums of the ledger are damaged in the database, and are added up anew")
            for table in (*TABLES, "daily_sums_filled"):
                await run(f"DELETE FROM {table}")  # noqa: S608 - all from here
            await run("INSERT INTO daily_sums_filled SELECT 1, coalesce(min(id), 1), coalesce(max(id), 0) FROM ledger")

    async def _fill_slice(self) -> int:
        async with self._database.transaction() as run:
            ((first, last, lines),) = await run(
                "SELECT min(id), max(id), count(*) FROM (SELECT id FROM ledger, daily_sums_filled "
                "WHERE id BETWEEN next AND last ORDER BY id LIMIT ?)",
                (_FILLED_AT_ONCE,),
            )
            if lines:
                for statement in FILL:
                    await run(statement, (first, last))
            await run("UPDATE daily_sums_filled SET next = coalesce(? + 1, last + 1)", (last,))
        return int(lines)

    async def sweep(self, before: float) -> int:
        """Returns how many rows went. The sums of their days go with them."""
        swept = 0
        while True:
            gone = await self._database.run(
                "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE begun_at < ? LIMIT ?) RETURNING id",
                (before, _SWEPT_AT_ONCE),
            )
            swept += len(gone)
            if len(gone) < _SWEPT_AT_ONCE:
                break
        for table in TABLES:
            # A sum of no jobs is left where the last of its lines went.
            await self._database.run(f"DELETE FROM {table} WHERE day < ? AND jobs <= 0", (day_of(before),))  # noqa: S608
        return swept


async def _unfilled(run: Run) -> str:
    """Which lines of the ledger the sums do not have yet, "" where they have all."""
    for next_, last in await run("SELECT next, last FROM daily_sums_filled WHERE next <= last"):
        return f"id BETWEEN {int(next_)} AND {int(last)}"
    return ""


def _report(asked: Question, rows: Sequence[Row], total: Row) -> Report:
    groups = len(asked.group_by)
    shown = [name_of if name == "day" else str for name in asked.group_by]
    by_group = [
        UsageRow(tuple(show(one) for show, one in zip(shown, row, strict=False)), Counts(*row[groups:])) for row in rows
    ]
    return Report(by_group, Counts(*total))


def read_line(line: Line) -> Line:
    """A line of the journal, if each of its values can be one. Raises one of `damage.UNREADABLE`; lines of another
    version have other columns."""
    if len(line) != len(_COLUMNS):
        raise ValueError(f"it has {len(line)} columns of {len(_COLUMNS)}")
    for column, value in zip(_COLUMNS, line, strict=True):
        _check_value(column, value)
    return line


def _check_value(column: str, value: object) -> None:
    if column == "id":
        if count(value) > _MAX_ID:
            raise ValueError("it has a number that no job has")
    elif column in _TEXTS:
        text(value)
    elif column == "begun_at":
        moment(value)
    elif column in _NUMBERS:
        if value is not None:
            number(value)
    else:
        number(count(value), _MAX_COUNT)


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
