"""The comparison of usage records and sessions with the clients' observations finds every difference."""

import random
from itertools import islice

import pytest

from tests.e2e.faults.gateway_database import UsageRow, find_usage_problems
from tests.e2e.faults.load_clients import CONNECTION_BROKEN, Observation, Outcome, RequestEnd
from tests.e2e.faults.plan import LoadPlan, make_request
from tests.e2e.faults.record import RunRecord

REQUEST_COUNT = 20_000  # more than a soak of 20 minutes sends
COMPLETE = Observation("a.1", RequestEnd.COMPLETE, 200, tokens=(5, 2))
INTERRUPTED = Observation("a.1", RequestEnd.FAILED, 200, CONNECTION_BROKEN.decode())
DISCONNECTED = Observation("a.1", RequestEnd.DISCONNECTED, 200)
REJECTED = Observation("a.1", RequestEnd.REJECTED, 429, "queue_full")


def usage_row(result: str, *, id_: str = "a.1", attempts: int = 1, tokens: tuple[int, int] = (5, 2)) -> UsageRow:
    return UsageRow(id_, result, attempts, tokens)


@pytest.mark.parametrize(
    ("observation", "is_faulty", "rows"),
    [
        (COMPLETE, False, [usage_row("ok")]),
        (COMPLETE, True, [usage_row("ok", attempts=2, tokens=(10, 3))]),
        (INTERRUPTED, True, [usage_row("upstream_disconnected")]),
        (DISCONNECTED, False, [usage_row("client_disconnected")]),
        (DISCONNECTED, False, [usage_row("ok")]),
        (DISCONNECTED, True, [usage_row("worker_exited")]),
        (REJECTED, False, []),
    ],
)
def test_accepts_usage_rows_that_match_the_observations(
    observation: Observation, is_faulty: bool, rows: list[UsageRow]
) -> None:
    assert find_usage_problems({"a.1": (observation, is_faulty)}, rows) == []


@pytest.mark.parametrize(
    ("observation", "rows"),
    [
        (COMPLETE, []),
        (COMPLETE, [usage_row("ok"), usage_row("ok")]),
        (COMPLETE, [usage_row("client_disconnected")]),
        (COMPLETE, [usage_row("ok", tokens=(5, 3))]),
        (COMPLETE, [usage_row("ok"), usage_row("ok", id_="b.1")]),
        (INTERRUPTED, [usage_row("client_disconnected")]),
        (DISCONNECTED, [usage_row("running")]),
        (DISCONNECTED, [usage_row("worker_exited")]),
        (REJECTED, [usage_row("queue_full")]),
    ],
)
def test_reports_each_row_that_differs(observation: Observation, rows: list[UsageRow]) -> None:
    assert len(find_usage_problems({"a.1": (observation, False)}, rows)) == 1


def make_session_record(*ends: RequestEnd) -> tuple[RunRecord, list[tuple[str, str]]]:
    """Return the record of a session with one turn for each end, and all turns that the session could hold."""
    record = RunRecord()
    requests = [make_request(random.Random(1), f"t1x0{number}", session_id="t1x0") for number in range(len(ends))]
    for request, end in zip(requests, ends, strict=True):
        record.attempts_by_token[request.token] = 1
        record.add_outcome(Outcome(request, (Observation(f"{request.token}.1", end, 200),), 0.1))
    turns = [
        turn
        for request in requests
        for turn in (("user", request.messages[-1]["content"]), ("assistant", request.expected_text))
    ]
    return record, turns


def test_session_may_hold_the_whole_reply_of_an_abandoned_request() -> None:
    ends = (RequestEnd.COMPLETE, RequestEnd.DISCONNECTED, RequestEnd.FAILED)
    for turn_count in (4, 2):
        record, turns = make_session_record(*ends)
        record.check_session("t1x0", turn_count, turns[:turn_count])
        assert record.problems == []


@pytest.mark.parametrize("stored", [slice(0), slice(1), slice(0, 3), slice(0, 6), slice(2, 4)])
def test_reports_sessions_with_missing_extra_or_partial_turns(stored: slice) -> None:
    record, turns = make_session_record(RequestEnd.COMPLETE, RequestEnd.COMPLETE, RequestEnd.FAILED)
    record.check_session("t1x0", 4, turns[stored])
    assert len(record.problems) == 1


def test_reports_a_message_count_that_differs_from_the_stored_turns() -> None:
    record, turns = make_session_record(RequestEnd.COMPLETE)
    record.check_session("t1x0", 3, turns)
    assert len(record.problems) == 1


def test_all_requests_of_a_plan_have_different_tokens() -> None:
    tokens = [request.token for item in islice(iter(LoadPlan(2026)), REQUEST_COUNT) for request in item]
    assert len(set(tokens)) == len(tokens) > REQUEST_COUNT
