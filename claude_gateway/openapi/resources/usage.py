"""Description of the operation that returns the usage and the budget of API keys (`web/endpoints/usage.py`)."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from claude_gateway.openapi.spec import OperationSpec, OptionalField, Parameter, ResponseModel, ResponseSpec, Tag
from claude_gateway.usage.report import GROUPINGS, UsageSums


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class UsageCountsObject(UsageSums):
    """Sums and means of the usage in a group of jobs.

    Means are in milliseconds. A mean is null if no job of the group has the value.
    """


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class UsageGroupObject(UsageCountsObject):
    """Sums and means of the usage in one group of jobs, with the values that these jobs have in common.

    The object contains `day`, `key`, `model`, `dialect` or `result` only if the client requested this field in
    `group_by`.
    """

    day: OptionalField[str] = None
    key: OptionalField[str] = None
    model: OptionalField[str] = None
    dialect: OptionalField[str] = None
    result: OptionalField[str] = None


class BudgetStatus(ResponseModel):
    """The daily budget of the API key, and the amounts that its jobs have used today.

    `tokens` and `usd` are null if the budget has no such limit.
    """

    tokens: int | None
    usd: float | None
    spent_tokens: int
    spent_usd: float
    resets_at: str


class UsageResponse(ResponseModel):
    """The usage in a range of days, as one entry for each group of jobs.

    `from` is the first day and `to` is the last day of the range. Days are in UTC.
    """

    object: Literal["usage"]
    from_: str
    to: str
    group_by: list[str]
    data: list[UsageGroupObject]
    total: UsageCountsObject
    budget: BudgetStatus

    model_config = ResponseModel.model_config | {"alias_generator": lambda name: name.removesuffix("_")}


_COUNTS = {
    "jobs": 3,
    "successful_jobs": 3,
    "input_tokens": 120,
    "output_tokens": 450,
    "cache_read_tokens": 9_000,
    "cache_write_tokens": 1_000,
    "thinking_tokens": 0,
    "cost_usd": 0.013,
    "mean_queue_wait_ms": 1.2,
    "mean_time_to_first_token_ms": 812.5,
    "mean_duration_ms": 2_400.0,
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

GET_USAGE = OperationSpec(
    Tag.USAGE,
    "Get the usage of the API key; with the scope `admin`, of all keys",
    {
        200: ResponseSpec(
            "Sums over the jobs that started on these days.",
            UsageResponse,
            _USAGE,
            alternative_content_type="text/csv",
        )
    },
    parameters=(
        Parameter("from", "The first day (UTC); by default 29 days before `to`.", "query"),
        Parameter("to", "The last day (UTC); by default today.", "query"),
        Parameter("group_by", f"A comma-separated list of {', '.join(GROUPINGS)}.", "query", example="day,model"),
        Parameter("key", "The id of one API key. The id of another key requires the scope `admin`.", "query"),
        Parameter(
            "format",
            "`csv` returns a CSV file for spreadsheets.",
            "query",
            {"type": "string", "enum": ["json", "csv"]},
        ),
    ),
    error_statuses=(400, 403),
)
