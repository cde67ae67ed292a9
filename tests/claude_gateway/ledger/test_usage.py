"""What is asked of the ledger, and how it is told."""

import csv
import io

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.ledger.days import midnight, named
from claude_gateway.ledger.usage import NOTHING_USED, Counts, Question, Report, UsageRow, as_csv, read_question, shown

NOW = midnight(named("2026-03-15")) + 3_600
ROW = UsageRow(("2026-03-15", "claude"), Counts(3, 2, 10, 20, 30, 40, 5, 0.1 + 0.2, None, 12.5, 100.0))


def test_without_a_word_it_is_the_last_thirty_days_by_day() -> None:
    assert read_question({}, "ann", NOW) == Question(
        midnight(named("2026-02-14")), midnight(named("2026-03-16")), ("day",), "ann"
    )


def test_both_ends_are_included() -> None:
    asked = read_question({"from": "2026-01-31", "to": "2026-01-31", "group_by": "model,day,model"}, None, NOW)

    assert (asked.since, asked.until) == (midnight(named("2026-01-31")), midnight(named("2026-02-01")))
    assert asked.group_by == ("model", "day")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"group_by": "day,owner"}, "group_by"),
        ({"group_by": "day;DROP TABLE ledger"}, "group_by"),
    ],
)
def test_what_cannot_be_asked_is_a_400_that_names_it(query: dict[str, str], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_question(query, None, NOW)

    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_row_is_told_with_its_names_and_counts() -> None:
    asked = read_question({"group_by": "day,model"}, None, NOW)

    (told,) = shown(asked, Report([ROW], ROW.counts))["data"]

    assert (told["day"], told["model"], told["jobs"], told["cost_usd"]) == ("2026-03-15", "claude", 3, 0.3)
    assert told["mean_queue_ms"] is None


@pytest.mark.promise("usage.csv")
@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "|calc", '=HYPERLINK("http://x";"y")']
)
def test_no_name_is_a_formula_in_a_spreadsheet(name: str) -> None:
    asked = read_question({"group_by": "day,model"}, None, NOW)
    row = UsageRow(("2026-03-15", name), NOTHING_USED)

    head, (day, told, jobs, *_) = csv.reader(io.StringIO(as_csv(asked, [row])), strict=True)

    assert head[:3] == ["day", "model", "jobs"]
    assert (day, told, jobs) == ("2026-03-15", f"'{name}", "0")


def test_numbers_of_a_csv_are_plain() -> None:
    asked = read_question({"group_by": "day,model"}, None, NOW)

    _, line = csv.reader(io.StringIO(as_csv(asked, [ROW])), strict=True)

    assert line == ["2026-03-15", "claude", "3", "2", "10", "20", "30", "40", "5", "0.3", "", "12.5", "100"]
