"""SQL statements that create, update and read the daily sums of usage records. No I/O.

A daily sum is the sum over all usage records of one day, for example for one key and one model. The gateway computes
usage reports from these sums. Database triggers update the sums in the same transaction that writes a record. The sums
are integers (US dollars in billionths, times in microseconds). So if a trigger subtracts a record and adds it again,
the sums are exactly as before. If a value is too large for a single job, the triggers add a maximum instead of the
value. So one damaged record does not corrupt a sum.

If an older version of the gateway created the database, the database contains records that are not in the sums. The
gateway adds these records in batches, in the order of their ids. The records with ids from `daily_sums_filled.next` to
`daily_sums_filled.last` are not in the sums yet.
"""

from collections.abc import Collection

_MAX_TOKENS = 10**12
_MAX_NANO_USD = 10**15
_MAX_MICROSECONDS = 10**15
_TOKEN_COLUMNS = ("input", "output", "cache_read", "cache_write", "thinking")
_DURATIONS = ("queue", "first_token", "total")
_DURATION_COLUMNS = tuple(f"{time}_{unit}" for time in _DURATIONS for unit in ("jobs", "us"))
_SUM_COLUMNS = ("jobs", *_TOKEN_COLUMNS, "nano_usd", *_DURATION_COLUMNS)
# Tables that contain daily sums, with the columns in the primary key of each table. The smallest table comes first. The
# column `day` is the count of days since 1970-01-01 (UTC).
_TABLE_KEYS: dict[str, tuple[str, ...]] = {
    "usage_days_of_all": ("day", "model", "dialect", "result"),
    "usage_days_of_keys": ("key_id", "day", "result"),
    "usage_days": ("key_id", "day", "model", "dialect", "result"),
}
DAILY_SUM_TABLES = tuple(_TABLE_KEYS)
# Columns that `DAILY_SUMS_SCRIPT` creates under other names. A later script renames these columns.
_FIRST_COLUMN_NAMES = {"key_id": "owner", "created_at": "begun_at"}


def select_sums_source(columns: Collection[str], unfilled: str = "") -> str:
    """Return the source for a FROM clause that reads the daily sums from the smallest table with the needed columns.

    No table contains the logins. With this column, the source reads the usage records themselves, from the day `:since`
    to the day before `:until`.

    Args:
        columns: Columns that the query uses.
        unfilled: SQL condition that selects the usage records that are not in the sums yet. The returned source also
            includes these records. An empty string means that the sums include all records.
    """
    if "login" in columns:
        return _sum_records_of_days_sql((*_TABLE_KEYS["usage_days"], "login"))
    table = next(name for name, key in _TABLE_KEYS.items() if set(columns) <= set(key))
    if not unfilled:
        return table
    names = ", ".join((*_TABLE_KEYS[table], *_SUM_COLUMNS))
    return f"(SELECT {names} FROM {table} UNION ALL {_summed_rows_sql(_TABLE_KEYS[table], unfilled)})"  # noqa: S608 - the parts are constants


def _sum_records_of_days_sql(key_columns: Collection[str]) -> str:
    """Return a subquery that sums up the usage records from the day `:since` to the day before `:until`."""
    keys = [f"{_key_expressions((column,), '')} AS {column}" for column in key_columns]
    sums = [f"sum({count}) AS {column}" for column, count in zip(_SUM_COLUMNS, _sum_expressions(""), strict=True)]
    return (
        f"(SELECT {', '.join((*keys, *sums))} FROM usage_records "  # noqa: S608 - the parts are constants
        "WHERE created_at >= :since * 86400 AND created_at < :until * 86400 "
        f"GROUP BY {_key_expressions(key_columns, '')})"
    )


def _clamp_sql(value: str, maximum: int) -> str:
    return f"max(0, min({maximum}, coalesce(CAST({value} AS INTEGER), 0)))"


def _sum_expressions(row_prefix: str) -> tuple[str, ...]:
    """Return one SQL expression for each column in `_SUM_COLUMNS`. It computes the amount that a record adds to it."""
    times = [f"{row_prefix}{time}_ms" for time in _DURATIONS]
    return (
        "1",
        *(_clamp_sql(f"{row_prefix}{name}", _MAX_TOKENS) for name in _TOKEN_COLUMNS),
        _clamp_sql(f"round({row_prefix}cost_usd * 1e9)", _MAX_NANO_USD),
        *(
            count
            for time in times
            for count in (f"({time} IS NOT NULL)", _clamp_sql(f"round({time} * 1000)", _MAX_MICROSECONDS))
        ),
    )


def _key_expressions(key_columns: Collection[str], row_prefix: str) -> str:
    return ", ".join(
        f"CAST({row_prefix}created_at / 86400 AS INTEGER)" if name == "day" else row_prefix + name
        for name in key_columns
    )


def _create_table_sql(name: str, key_columns: Collection[str]) -> str:
    columns = [
        f"    {column} {'INTEGER' if column in ('day', *_SUM_COLUMNS) else 'TEXT'} NOT NULL,\n"
        for column in (*key_columns, *_SUM_COLUMNS)
    ]
    return f"CREATE TABLE {name} (\n{''.join(columns)}    PRIMARY KEY ({', '.join(key_columns)})\n) WITHOUT ROWID;\n"


def _add_sql(table: str, rows: str) -> str:
    key = ", ".join(_TABLE_KEYS[table])
    updates = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUM_COLUMNS)
    into = f"INSERT INTO {table} ({key}, {', '.join(_SUM_COLUMNS)})"
    return f"{into} {rows} ON CONFLICT ({key}) DO UPDATE SET {updates}"


def _row_statements_sql(row_prefix: str, sign: str) -> str:
    """Return SQL statements that add a record to the daily sums (sign "+") or subtract it from the sums (sign "-")."""
    counts = ", ".join(sign + count for count in _sum_expressions(row_prefix))
    statements = [
        _add_sql(table, f"SELECT {_key_expressions(key, row_prefix)}, {counts} WHERE true")
        for table, key in _TABLE_KEYS.items()
    ]
    return "".join(f"    {statement};\n" for statement in statements)


def _create_trigger_sql(name: str, event: str, row_name: str, *statements: str) -> str:
    is_filled = f"(SELECT {row_name}.id < next OR {row_name}.id > last FROM daily_sums_filled)"  # noqa: S608 - the parts are constants
    return f"CREATE TRIGGER {name} AFTER {event} ON usage_records WHEN {is_filled} BEGIN\n{''.join(statements)}END;\n"


def _summed_rows_sql(key_columns: Collection[str], condition: str) -> str:
    names, counts = _key_expressions(key_columns, ""), ", ".join(f"sum({count})" for count in _sum_expressions(""))
    return f"SELECT {names}, {counts} FROM usage_records WHERE {condition} GROUP BY {names}"  # noqa: S608 - the parts are constants


def _use_first_column_names(sql: str) -> str:
    for name, first_name in _FIRST_COLUMN_NAMES.items():
        sql = sql.replace(name, first_name)
    return sql


_ROW_EXPRESSIONS = dict(zip(_SUM_COLUMNS, _sum_expressions(""), strict=True))
_ALL_TOKENS_SQL = " + ".join(_ROW_EXPRESSIONS[name] for name in ("input", "output", "cache_read", "cache_write"))
# Columns and FROM clause of a query that sums up the tokens and US dollars of usage records.
SPEND_SQL = f"sum({_ALL_TOKENS_SQL}), sum({_ROW_EXPRESSIONS['nano_usd']}) / 1e9 FROM usage_records"
# SQL statements that add the records with ids from `?1` to `?2` to the daily sums.
FILL_STATEMENTS = tuple(
    _add_sql(table, _summed_rows_sql(key, "id BETWEEN ?1 AND ?2")) for table, key in _TABLE_KEYS.items()
)

# Script that creates the triggers, with the present names of the columns.
CREATE_TRIGGERS_SCRIPT = "".join(
    (
        _create_trigger_sql("usage_record_added", "INSERT", "NEW", _row_statements_sql("NEW.", "+")),
        _create_trigger_sql(
            "usage_record_changed", "UPDATE", "NEW", _row_statements_sql("OLD.", "-"), _row_statements_sql("NEW.", "+")
        ),
        _create_trigger_sql("usage_record_deleted", "DELETE", "OLD", _row_statements_sql("OLD.", "-")),
    )
)
DROP_TRIGGERS_SCRIPT = "".join(
    f"DROP TRIGGER {name};\n" for name in ("usage_record_added", "usage_record_changed", "usage_record_deleted")
)
# Script that creates the tables and triggers, with the first names of the columns.
DAILY_SUMS_SCRIPT = _use_first_column_names(
    "".join(
        (
            *(_create_table_sql(name, key) for name, key in _TABLE_KEYS.items()),
            "CREATE INDEX usage_days_by_day ON usage_days (day);\n",
            "CREATE INDEX usage_days_of_keys_by_day ON usage_days_of_keys (day);\n",
            "CREATE TABLE daily_sums_filled (\n    one INTEGER PRIMARY KEY CHECK (one = 1),\n",
            "    next INTEGER NOT NULL,\n    last INTEGER NOT NULL\n);\n",
            "INSERT INTO daily_sums_filled SELECT 1, coalesce(min(id), 1), coalesce(max(id), 0) FROM usage_records;\n",
            CREATE_TRIGGERS_SCRIPT,
        )
    )
)
