"""What is asked of the ledger, and what it answers. Pure.

Days are those of UTC.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any, Literal, cast, get_args

from claude_gateway.errors import ApiError
from claude_gateway.ledger.days import DAY, day_of, midnight, name_of, named
from claude_gateway.prompt.conversation import bad

Grouping = Literal["day", "key", "model", "dialect", "result"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
USUAL_DAYS = 30


@dataclass(frozen=True, slots=True)
class Question:
    """Jobs that were begun in `[since, until)`, in seconds of the epoch; of one key, or with None of all."""

    since: float
    until: float
    group_by: tuple[Grouping, ...]
    owner: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs added up. Means are None where there is nothing to take one of. What is told of usage, and what the
    document says is told, are these."""

    jobs: int
    ok: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    thinking_tokens: int
    cost_usd: float
    mean_queue_ms: float | None
    mean_first_token_ms: float | None
    mean_total_ms: float | None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """`group` are the names of a group of jobs, in the order that was asked for."""

    group: tuple[str, ...]
    counts: Counts


@dataclass(frozen=True, slots=True)
class Report:
    """`rows` are the groups, `total` all of their jobs and those of groups that were too many, at the same moment."""

    rows: Sequence[UsageRow]
    total: Counts


NOTHING_USED = Counts(0, 0, 0, 0, 0, 0, 0, 0.0, None, None, None)
_COUNTED = tuple(one.name for one in fields(Counts))


def read_question(query: Mapping[str, str], owner: str | None, now: float) -> Question:
    """`from` and `to` are days, both of them included. Raises `ApiError` 400."""
    today = day_of(now)
    until = _day(query, "to", today)
    since = _day(query, "from", until - USUAL_DAYS + 1)
    if since > until:
        raise bad("from", "must not be after to")
    names = [name for name in query.get("group_by", "day").split(",") if name]
    if unknown := [name for name in names if name not in GROUPINGS]:
        raise bad("group_by", f"there is no {unknown[0][:40]!r}; any of {', '.join(GROUPINGS)}, with commas between")
    group_by = tuple(dict.fromkeys(cast("list[Grouping]", names)))
    return Question(midnight(since), midnight(until) + DAY, group_by, owner)


def shown(asked: Question, report: Report) -> dict[str, Any]:
    """As the endpoint answers."""
    return {
        "object": "usage",
        "from": name_of(day_of(asked.since)),
        "to": name_of(day_of(asked.until - DAY)),
        "group_by": list(asked.group_by),
        "data": [{**dict(zip(asked.group_by, row.group, strict=True)), **_counts(row.counts)} for row in report.rows],
        "total": _counts(report.total),
    }


def as_csv(asked: Question, rows: Sequence[UsageRow]) -> str:
    """For a spreadsheet, RFC 4180: a name that such a program would take for a formula is made text."""
    lines = [[*asked.group_by, *_COUNTED]]
    lines += [[*map(_text, row.group), *map(_number, astuple(row.counts))] for row in rows]
    return "".join(",".join(map(_quoted, line)) + "\r\n" for line in lines)


def _counts(counts: Counts) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(counts).items()}


def _day(query: Mapping[str, str], name: str, usual: int) -> int:
    if not (sent := query.get(name)):
        return usual
    try:
        return named(sent)
    except ValueError:
        raise _no_day(name) from None


def _no_day(name: str) -> ApiError:
    return bad(name, "must be a day, as 2026-01-31")


def _text(name: str) -> str:
    # A leading blank hides the sign from this look, not from every spreadsheet.
    return f"'{name}" if re.match(r"\s*[=+\-@\t\r|%]", name) else name


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if re.search(r'[",\r\n]', field) else field
