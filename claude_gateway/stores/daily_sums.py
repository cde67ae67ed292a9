"""The sums of the ledger by day, from which reports are read: the tables, and the triggers that keep them. Pure.

A trigger changes them in the transaction that writes a line, whoever writes it. Sums are whole numbers, so that a line
that is taken out and put back leaves them as they were: US dollars in billionths, times in microseconds. A figure that
no job can have counts as the largest that one may: one damaged line does not spoil a sum.

The lines of a database that is older than these tables are added to them in slices, by their numbers: those from
`daily_sums_filled.next` to `.last` are not in them yet.
"""

from collections.abc import Collection

_MAX_TOKENS = 10**12
_MAX_NANO_USD = 10**15
_MAX_MICROSECONDS = 10**15
_TOKENS = ("input", "output", "cache_read", "cache_write", "thinking")
_TIMES = ("queue", "first_token", "total")
_TIME_SUMS = tuple(f"{time}_{unit}" for time in _TIMES for unit in ("jobs", "us"))
_SUMS = ("jobs", *_TOKENS, "nano_usd", *_TIME_SUMS)
# What each table has a row for, the one with the fewest rows first. `day` counts from that of the epoch (UTC).
_TABLES: dict[str, tuple[str, ...]] = {
    "ledger_days_of_all": ("day", "model", "dialect", "result"),
    "ledger_days_of_keys": ("owner", "day", "result"),
    "ledger_days": ("owner", "day", "model", "dialect", "result"),
}
TABLES = tuple(_TABLES)


def source(columns: Collection[str], unfilled: str = "") -> str:
    """The smallest table that has these columns, for a FROM. With `unfilled`, a condition on lines of the ledger that
    the tables do not have yet, those lines are in it too."""
    table = next(name for name, key in _TABLES.items() if set(columns) <= set(key))
    if not unfilled:
        return table
    names = ", ".join((*_TABLES[table], *_SUMS))
    return f"(SELECT {names} FROM {table} UNION ALL {_summed(_TABLES[table], unfilled)})"  # noqa: S608 - all from here


def _bounded(value: str, most: int) -> str:
    return f"max(0, min({most}, coalesce(CAST({value} AS INTEGER), 0)))"


def _counts(line: str) -> tuple[str, ...]:
    """What one line of the ledger adds to each of `_SUMS`."""
    times = [f"{line}{time}_ms" for time in _TIMES]
    return (
        "1",
        *(_bounded(f"{line}{name}", _MAX_TOKENS) for name in _TOKENS),
        _bounded(f"round({line}cost_usd * 1e9)", _MAX_NANO_USD),
        *(
            count
            for time in times
            for count in (f"({time} IS NOT NULL)", _bounded(f"round({time} * 1000)", _MAX_MICROSECONDS))
        ),
    )


def _names(key: Collection[str], line: str) -> str:
    return ", ".join(f"CAST({line}begun_at / 86400 AS INTEGER)" if name == "day" else line + name for name in key)


def _table(name: str, key: Collection[str]) -> str:
    columns = [f"    {one} {'INTEGER' if one in ('day', *_SUMS) else 'TEXT'} NOT NULL,\n" for one in (*key, *_SUMS)]
    return f"CREATE TABLE {name} (\n{''.join(columns)}    PRIMARY KEY ({', '.join(key)})\n) WITHOUT ROWID;\n"


def _add(table: str, rows: str) -> str:
    key = ", ".join(_TABLES[table])
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
    into = f"INSERT INTO {table} ({key}, {', '.join(_SUMS)})"
    return f"{into} {rows} ON CONFLICT ({key}) DO UPDATE SET {added}"


def _of_line(line: str, sign: str) -> str:
    """Statements that add a line (`+`), or take it out again (`-`)."""
    counts = ", ".join(sign + count for count in _counts(line))
    added = [_add(table, f"SELECT {_names(key, line)}, {counts} WHERE true") for table, key in _TABLES.items()]
    return "".join(f"    {statement};\n" for statement in added)


def _trigger(name: str, event: str, line: str, *changes: str) -> str:
    is_filled = f"(SELECT {line}.id < next OR {line}.id > last FROM daily_sums_filled)"  # noqa: S608 - all from here
    return f"CREATE TRIGGER {name} AFTER {event} ON ledger WHEN {is_filled} BEGIN\n{''.join(changes)}END;\n"


def _summed(key: Collection[str], where: str) -> str:
    names, counts = _names(key, ""), ", ".join(f"sum({count})" for count in _counts(""))
    return f"SELECT {names}, {counts} FROM ledger WHERE {where} GROUP BY {names}"  # noqa: S608 - all from here


_OF_LINE = dict(zip(_SUMS, _counts(""), strict=True))
_ALL_TOKENS = " + ".join(_OF_LINE[name] for name in ("input", "output", "cache_read", "cache_write"))
# The tokens and US dollars of lines, for a SELECT.
SPENT = f"sum({_ALL_TOKENS}), sum({_OF_LINE['nano_usd']}) / 1e9 FROM ledger"
# Adds the lines from number `?1` to number `?2`.
FILL = tuple(_add(table, _summed(key, "id BETWEEN ?1 AND ?2")) for table, key in _TABLES.items())

DAILY_SUMS = "".join(
    (
        *(_table(name, key) for name, key in _TABLES.items()),
        "CREATE INDEX ledger_days_by_day ON ledger_days (day);\n",
        "CREATE INDEX ledger_days_of_keys_by_day ON ledger_days_of_keys (day);\n",
        "CREATE TABLE daily_sums_filled (\n    one INTEGER PRIMARY KEY CHECK (one = 1),\n",
        "    next INTEGER NOT NULL,\n    last INTEGER NOT NULL\n);\n",
        "INSERT INTO daily_sums_filled SELECT 1, coalesce(min(id), 1), coalesce(max(id), 0) FROM ledger;\n",
        _trigger("ledger_line_added", "INSERT", "NEW", _of_line("NEW.", "+")),
        _trigger("ledger_line_changed", "UPDATE", "NEW", _of_line("OLD.", "-"), _of_line("NEW.", "+")),
        _trigger("ledger_line_deleted", "DELETE", "OLD", _of_line("OLD.", "-")),
    )
)
