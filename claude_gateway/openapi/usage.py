"""What `web/usage.py` answers."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from claude_gateway.ledger.usage import GROUPINGS, Counts
from claude_gateway.openapi.operation import Answer, Answered, Group, Maybe, Operation, Parameter


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class UsageCounts(Counts):
    """Means are in milliseconds, null where there is nothing to take one of."""


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class UsageGroup(UsageCounts):
    """Named by what was asked for in `group_by`."""

    day: Maybe[str] = None
    key: Maybe[str] = None
    model: Maybe[str] = None
    dialect: Maybe[str] = None
    result: Maybe[str] = None


class SpentBudget(Answered):
    """Of the calling key, today."""

    tokens: int | None
    usd: float | None
    spent_tokens: int
    spent_usd: float
    resets_at: str


class UsageAnswer(Answered):
    """`from` and `to` are days of UTC, both included."""

    object: Literal["usage"]
    from_: str
    to: str
    group_by: list[str]
    data: list[UsageGroup]
    total: UsageCounts
    budget: SpentBudget

    model_config = Answered.model_config | {"alias_generator": lambda name: name.removesuffix("_")}


_COUNTS = {
    "jobs": 3,
    "ok": 3,
    "input_tokens": 120,
    "output_tokens": 450,
    "cache_read_tokens": 9_000,
    "cache_write_tokens": 1_000,
    "thinking_tokens": 0,
    "cost_usd": 0.013,
    "mean_queue_ms": 1.2,
    "mean_first_token_ms": 812.5,
    "mean_total_ms": 2_400.0,
}
_USAGE = {
    "object": "usage",
    "from": "2026-01-01",
    "to": "2026-01-31",
    "group_by": ["day", "model"],
    "data": [{"day": "2026-01-31", "model": "claude-sonnet-5-5", **_COUNTS}],
    "total": _COUNTS,
    "budget": {
        "tokens": 1_000_000,
        "usd": None,
        "spent_tokens": 10_570,
        "spent_usd": 0.013,
        "resets_at": "2026-02-01T00:00:00Z",
    },
}

OPERATIONS = (
    Operation(
        "get",
        "/v1/usage",
        Group.USAGE,
        "What the calling key has used; with the scope `admin`, what each has",
        {200: Answer("The jobs that were begun on these days, summed up.", UsageAnswer, _USAGE, also="text/csv")},
        parameters=(
            Parameter("from", "The first day (UTC), 29 days before `to` where it is left out.", "query"),
            Parameter("to", "The last day (UTC), today where it is left out.", "query"),
            Parameter("group_by", f"Any of {', '.join(GROUPINGS)}, with commas between.", "query", example="day,model"),
            Parameter("key", "The id of one key; another than one's own needs the scope `admin`.", "query"),
            Parameter(
                "format",
                "`csv` is a file for a spreadsheet.",
                "query",
                {"type": "string", "enum": ["json", "csv"]},
            ),
        ),
        errors=(400, 403),
    ),
)
