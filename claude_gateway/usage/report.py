"""Parse the query of a usage report, and convert the report to JSON or CSV. Days are in UTC. No I/O."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any, Literal, cast, get_args

from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.usage.days import DAY_SECONDS, day_number, day_start, format_day, parse_day

Grouping = Literal["day", "key", "model", "dialect", "result", "login"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """The selection of jobs for a usage report, and the columns by which the report groups the jobs.

    Attributes:
        since: Start of the time range, in seconds since the epoch. The query selects jobs that were created at this
            time or later.
        until: End of the time range, in seconds since the epoch. The query selects jobs that were created before this
            time.
        group_by: Names of the columns by which the report groups the jobs, in the order in which the client named them.
        key_id: Id of the key whose jobs are selected; None if the jobs of all keys are selected.
    """

    since: float
    until: float
    group_by: tuple[Grouping, ...]
    key_id: str | None


@dataclass(frozen=True, slots=True)
class UsageSums:
    """Sums and mean values over a group of jobs.

    A mean value is None if no job of the group has a value. The attributes have the names of the JSON fields in the
    response and in the OpenAPI schema of the response.
    """

    jobs: int
    successful_jobs: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    thinking_tokens: int
    cost_usd: float
    mean_queue_wait_ms: float | None
    mean_time_to_first_token_ms: float | None
    mean_duration_ms: float | None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One row of a usage report, with the sums over one group of jobs.

    `group_values` contains one value for each column in `UsageQuery.group_by`. All jobs of the group have these values.
    """

    group_values: tuple[str, ...]
    sums: UsageSums


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The result of a usage query. All values come from the same snapshot of the database.

    Attributes:
        rows: One row for each group, up to the maximum count of groups.
        total: Sums over all selected jobs, including jobs whose groups are not in `rows`.
    """

    rows: Sequence[UsageRow]
    total: UsageSums


EMPTY_SUMS = UsageSums(0, 0, 0, 0, 0, 0, 0, 0.0, None, None, None)
_SUM_NAMES = tuple(field.name for field in fields(UsageSums))


def parse_usage_query(query: Mapping[str, str], key_id: str | None, now: float) -> UsageQuery:
    """Convert the query string of a request for a usage report to a `UsageQuery`.

    Args:
        query: Parameters of the query string. `from` is the first day, `to` is the last day, and `group_by` contains
            column names separated by commas.
        key_id: Id of the key whose jobs are selected; None if the jobs of all keys are selected.
        now: Current time, in seconds since the epoch.

    Raises:
        ApiError: A parameter is invalid (status 400).
    """
    today = day_number(now)
    until = _parse_day_parameter(query, "to", today)
    since = _parse_day_parameter(query, "from", until - DEFAULT_DAYS + 1)
    if since > until:
        raise bad_request("from", "must not be after to")
    names = [name for name in query.get("group_by", "day").split(",") if name]
    if unknown := [name for name in names if name not in GROUPINGS]:
        raise bad_request(
            "group_by", f"must be a comma-separated list of {', '.join(GROUPINGS)}; {unknown[0][:40]!r} is unknown"
        )
    group_by = tuple(dict.fromkeys(cast("list[Grouping]", names)))
    return UsageQuery(day_start(since), day_start(until) + DAY_SECONDS, group_by, key_id)


def usage_to_json(query: UsageQuery, report: UsageReport) -> dict[str, Any]:
    """Convert a usage report to the JSON body of the response."""
    return {
        "object": "usage",
        "from": format_day(day_number(query.since)),
        "to": format_day(day_number(query.until - DAY_SECONDS)),
        "group_by": list(query.group_by),
        "data": [
            {**dict(zip(query.group_by, row.group_values, strict=True)), **_sums_to_json(row.sums)}
            for row in report.rows
        ],
        "total": _sums_to_json(report.total),
    }


def usage_to_csv(query: UsageQuery, rows: Sequence[UsageRow]) -> str:
    """Convert the rows of a usage report to CSV (RFC 4180).

    If a spreadsheet would interpret a name as a formula, the function puts an apostrophe in front of the name.
    """
    lines = [[*query.group_by, *_SUM_NAMES]]
    lines += [[*map(_escape_formula, row.group_values), *map(_format_number, astuple(row.sums))] for row in rows]
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


def _sums_to_json(sums: UsageSums) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(sums).items()}


def _parse_day_parameter(query: Mapping[str, str], name: str, default: int) -> int:
    if not (text := query.get(name)):
        return default
    try:
        return parse_day(text)
    except ValueError:
        raise _invalid_day(name) from None


def _invalid_day(name: str) -> ApiError:
    return bad_request(name, "must be a day such as 2026-01-31")


def _escape_formula(text: str) -> str:
    # Some spreadsheets interpret a text as a formula even if there is white space before the first character.
    return f"'{text}" if re.match(r"\s*[=+\-@\t\r|%]", text) else text


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
