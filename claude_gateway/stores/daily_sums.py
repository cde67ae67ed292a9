"""The sums of the ledger by day, from which reports are read: the tables, and the triggers that keep them. Pure.

A trigger changes them in the transaction that writes a line, whoever writes it. Sums are whole numbers, so that a line
that is taken out and put back leaves them as they were: US dollars in billionths, times in microseconds. A figure that
no job can have counts as the largest that one may: one damaged line does not spoil a sum.

The lines of a database that is older than these tables are added to them in slices, by their numbers: those from
`daily_sums_filled.next` to `.last` are not in them yet.
"""

_MAX_TOKENS = 10**12
_MAX_NANO_USD = 10**15
_MAX_MICROSECONDS = 10**15
_GROUP = "model, dialect, result"
_TOKENS = ("input", "output", "cache_read", "cache_write", "thinking")
_TIMES = ("queue", "first_token", "total")
SUMS = (
    "jobs",
    *_TOKENS,
    "nano_usd",
    *(name for time in _TIMES for name in (f"{time}_jobs", f"{time}_us")),
)


def _bounded(value: str, most: int) -> str:
    return f"max(0, min({most}, coalesce(CAST({value} AS INTEGER), 0)))"


def _day(line: str) -> str:
    return f"CAST({line}begun_at / 86400 AS INTEGER)"


def _counts(line: str) -> tuple[str, ...]:
    """What one line of the ledger adds to each of `SUMS`."""
    return (
        "1",
        *(_bounded(f"{line}{name}", _MAX_TOKENS) for name in _TOKENS),
        _bounded(f"round({line}cost_usd * 1e9)", _MAX_NANO_USD),
        *(
            count
            for time in _TIMES
            for count in (
                f"({line}{time}_ms IS NOT NULL)",
                _bounded(f"round({line}{time}_ms * 1000)", _MAX_MICROSECONDS),
            )
        ),
    )


def _table(name: str, *first: str) -> str:
    columns = [f"{column} TEXT NOT NULL" if column == "owner" else f"{column} INTEGER NOT NULL" for column in first]
    columns += [f"{column} TEXT NOT NULL" for column in _GROUP.split(", ")]
    columns += [f"{column} INTEGER NOT NULL" for column in SUMS]
    return f"CREATE TABLE {name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(first)}, {_GROUP})) WITHOUT ROWID;\n"


def _add(table: str, key: str, source: str) -> str:
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
    return (
        f"INSERT INTO {table} ({key}, {_GROUP}, {', '.join(SUMS)}) {source} "
        f"ON CONFLICT ({key}, {_GROUP}) DO UPDATE SET {added}"
    )


_KEYS = {"ledger_days": "owner, day", "ledger_days_of_all": "day"}


def _of_line(line: str, sign: str) -> str:
    """Statements that add a line (`+`), or take it out again (`-`)."""
    counts = ", ".join(f"{sign}{count}" for count in _counts(line))
    group = ", ".join(f"{line}{column}" for column in _GROUP.split(", "))
    names = {"owner, day": f"{line}owner, {_day(line)}", "day": _day(line)}
    return "".join(
        f"    {_add(table, key, f'SELECT {names[key]}, {group}, {counts} WHERE true')};\n"
        for table, key in _KEYS.items()
    )


def _trigger(name: str, event: str, line: str, *changes: str) -> str:
    filled = f"(SELECT {line}.id < next OR {line}.id > last FROM daily_sums_filled)"  # noqa: S608 - all from here
    return f"CREATE TRIGGER {name} AFTER {event} ON ledger WHEN {filled} BEGIN\n{''.join(changes)}END;\n"


def summed(where: str, key: str) -> str:
    """The sums of lines of the ledger, as a SELECT in the shape of the table with this key."""
    names = {"owner, day": f"owner, {_day('')}", "day": _day("")}[key]
    counts = ", ".join(f"sum({count})" for count in _counts(""))
    return f"SELECT {names}, {_GROUP}, {counts} FROM ledger WHERE {where} GROUP BY {names}, {_GROUP}"  # noqa: S608


# The next lines that are not in the sums yet: those from number `?1` to number `?2`.
FILL = tuple(_add(table, key, summed("id BETWEEN ?1 AND ?2", key)) for table, key in _KEYS.items())
# Of either table, behind its key.
COLUMNS = f"{_GROUP}, {', '.join(SUMS)}"

DAILY_SUMS = (
    "-- The jobs of the ledger added up: by key and day, and by day alone for reports on all keys. `day` counts from\n"
    "-- that of the epoch (UTC).\n"
    + _table("ledger_days", "owner", "day")
    + "CREATE INDEX ledger_days_by_day ON ledger_days (day);\n"
    + _table("ledger_days_of_all", "day")
    + "-- The lines of the ledger with these numbers are yet to be added.\n"
    "CREATE TABLE daily_sums_filled (\n"
    "    one INTEGER PRIMARY KEY CHECK (one = 1), next INTEGER NOT NULL, last INTEGER NOT NULL\n"
    ");\n"
    "INSERT INTO daily_sums_filled SELECT 1, coalesce(min(id), 1), coalesce(max(id), 0) FROM ledger;\n"
    + _trigger("ledger_line_added", "INSERT", "NEW", _of_line("NEW.", "+"))
    + _trigger("ledger_line_changed", "UPDATE", "NEW", _of_line("OLD.", "-"), _of_line("NEW.", "+"))
    + _trigger("ledger_line_deleted", "DELETE", "OLD", _of_line("OLD.", "-"))  # noqa: S608 - all from here
)
