"""Queries of the usage report, and its formats."""

import csv
import io

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.usage.days import day_start, parse_day
from claude_gateway.usage.report import (
    EMPTY_SUMS,
    UsageQuery,
    UsageReport,
    UsageRow,
    UsageSums,
    parse_usage_query,
    usage_to_csv,
    usage_to_json,
)

NOW = day_start(parse_day("2026-03-15")) + 3_600
ROW = UsageRow(("2026-03-15", "claude"), UsageSums(3, 2, 10, 20, 30, 40, 5, 0.1 + 0.2, None, 12.5, 100.0))


def test_default_query_is_the_last_thirty_days_by_day() -> None:
    assert parse_usage_query({}, "ann", NOW) == UsageQuery(
        day_start(parse_day("2026-02-14")), day_start(parse_day("2026-03-16")), ("day",), "ann"
    )


def test_query_includes_first_and_last_day() -> None:
    query = parse_usage_query({"from": "2026-01-31", "to": "2026-01-31", "group_by": "model,day,model"}, None, NOW)

    assert (query.since, query.until) == (day_start(parse_day("2026-01-31")), day_start(parse_day("2026-02-01")))
    assert query.group_by == ("model", "day")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"group_by": "day,key_id"}, "group_by"),
        ({"group_by": "day;DROP TABLE usage_records"}, "group_by"),
    ],
)
def test_rejects_invalid_parameter_with_400_that_names_it(query: dict[str, str], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_usage_query(query, None, NOW)

    assert (caught.value.status, caught.value.param) == (400, param)


def test_row_has_group_names_and_sums() -> None:
    query = parse_usage_query({"group_by": "day,model"}, None, NOW)

    (row_json,) = usage_to_json(query, UsageReport([ROW], ROW.sums))["data"]

    assert (row_json["day"], row_json["model"], row_json["jobs"], row_json["cost_usd"]) == (
        "2026-03-15",
        "claude",
        3,
        0.3,
    )
    assert row_json["mean_queue_wait_ms"] is None


@pytest.mark.promise("usage.csv")
@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "|calc", '=HYPERLINK("http://x";"y")']
)
def test_name_in_csv_is_never_a_formula(name: str) -> None:
    query = parse_usage_query({"group_by": "day,model"}, None, NOW)
    row = UsageRow(("2026-03-15", name), EMPTY_SUMS)

    header, (day, cell, jobs, *_) = csv.reader(io.StringIO(usage_to_csv(query, [row])), strict=True)

    assert header[:3] == ["day", "model", "jobs"]
    assert (day, cell, jobs) == ("2026-03-15", f"'{name}", "0")


def test_csv_contains_numbers_without_formatting() -> None:
    query = parse_usage_query({"group_by": "day,model"}, None, NOW)

    _, line = csv.reader(io.StringIO(usage_to_csv(query, [ROW])), strict=True)

    assert line == ["2026-03-15", "claude", "3", "2", "10", "20", "30", "40", "5", "0.3", "", "12.5", "100"]
