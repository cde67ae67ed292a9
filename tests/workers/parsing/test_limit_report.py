"""Limits of a login in the frames of the CLI. The upstream or the CLI may report any value."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.login_limits import WINDOW_NAMES, LimitStatus, LimitWindow
from workers.parsing.limit_report import find_limit_info, parse_limit_report

NOW = 1_796_000_000.0
HOUR, DAY = 3_600.0, 86_400.0


def window_fields(status: str, utilization: float, resets_at: float) -> dict[str, Any]:
    return {"status": status, "utilization": utilization, "resetsAt": resets_at}


def test_windows_of_an_event_are_read() -> None:
    report = parse_limit_report(
        {
            "status": "allowed_warning",
            "resetsAt": NOW + 4 * DAY,
            "rateLimitType": "seven_day",
            "utilization": 0.8,
            "unifiedWindows": {
                "five_hour": window_fields("allowed", 0.4, NOW + HOUR),
                "seven_day": window_fields("allowed_warning", 0.8, NOW + 4 * DAY),
            },
        },
        NOW,
    )

    assert report is not None
    assert report.windows == (
        LimitWindow("five_hour", LimitStatus.ALLOWED, 0.4, NOW + HOUR),
        LimitWindow("seven_day", LimitStatus.WARNING, 0.8, NOW + 4 * DAY),
    )
    assert (report.is_rejected, report.reached_windows) == (False, ())


def test_window_that_decides_is_read_without_the_list_of_windows() -> None:
    report = parse_limit_report({"status": "rejected", "resetsAt": NOW + HOUR, "rateLimitType": "seven_day_opus"}, NOW)

    assert report is not None
    assert report.reached_windows == (LimitWindow("seven_day_opus", LimitStatus.REJECTED, None, NOW + HOUR),)


@pytest.mark.parametrize(
    ("status", "window_status", "expected"),
    [
        ("allowed", "allowed_warning", LimitStatus.WARNING),
        ("allowed_warning", "allowed", LimitStatus.WARNING),
        ("rejected", "allowed", LimitStatus.REJECTED),
        ("allowed", None, LimitStatus.ALLOWED),
    ],
)
def test_worse_of_the_two_statuses_of_a_window_counts(
    status: str, window_status: str | None, expected: LimitStatus
) -> None:
    windows = {"five_hour": {"status": window_status, "utilization": 0.9, "resetsAt": NOW + HOUR}}
    report = parse_limit_report({"status": status, "rateLimitType": "five_hour", "unifiedWindows": windows}, NOW)

    assert report is not None
    assert report.windows == (LimitWindow("five_hour", expected, 0.9, NOW + HOUR),)


def test_both_of_two_reached_limits_are_kept() -> None:
    report = parse_limit_report(
        {
            "status": "rejected",
            "resetsAt": NOW + HOUR,
            "rateLimitType": "five_hour",
            "unifiedWindows": {
                "five_hour": window_fields("rejected", 1, NOW + HOUR),
                "seven_day": window_fields("rejected", 1, NOW + 4 * DAY),
            },
        },
        NOW,
    )

    assert report is not None
    assert {window.kind: window.resets_at for window in report.reached_windows} == {
        "five_hour": NOW + HOUR,
        "seven_day": NOW + 4 * DAY,
    }


def test_rejected_window_stops_nothing_while_the_upstream_accepts_requests() -> None:
    report = parse_limit_report(
        {
            "status": "allowed",
            "rateLimitType": "overage",
            "isUsingOverage": True,
            "unifiedWindows": {"five_hour": window_fields("rejected", 1.2, NOW + HOUR)},
        },
        NOW,
    )

    assert report is not None
    assert report.windows[0] == LimitWindow("five_hour", LimitStatus.REJECTED, 1.2, NOW + HOUR)
    assert report.reached_windows == ()


def test_plain_429_reports_nothing() -> None:
    assert parse_limit_report({"status": "rejected", "isUsingOverage": False}, NOW) is None


def test_unknown_window_is_reported_as_other() -> None:
    report = parse_limit_report({"status": "rejected", "rateLimitType": "one_month"}, NOW)

    assert report is not None
    assert [window.kind for window in report.reached_windows] == ["other"]


@pytest.mark.parametrize(
    "value",
    [NOW, NOW - HOUR, NOW + 9 * DAY, NOW + 365 * DAY, 0, -1, math.nan, math.inf, 10**400, "soon", str(NOW), True, None],
)
def test_impossible_reset_is_ignored_and_the_limit_is_kept(value: object) -> None:
    report = parse_limit_report({"status": "rejected", "rateLimitType": "five_hour", "resetsAt": value}, NOW)

    assert report is not None
    assert report.reached_windows == (LimitWindow("five_hour", LimitStatus.REJECTED),)


def test_spending_limit_may_reset_after_a_month() -> None:
    report = parse_limit_report({"status": "rejected", "rateLimitType": "overage", "resetsAt": NOW + 30 * DAY}, NOW)

    assert report is not None
    assert report.windows[0].resets_at == NOW + 30 * DAY


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "0.5", True, None, [], 10**400])
def test_impossible_share_is_ignored(value: object) -> None:
    report = parse_limit_report({"status": "allowed", "rateLimitType": "five_hour", "utilization": value}, NOW)

    assert report is not None
    assert report.windows == (LimitWindow("five_hour", LimitStatus.ALLOWED),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "rateLimitType", "resetsAt", "utilization", "unifiedWindows", *WINDOW_NAMES]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_value_gives_a_bounded_report_or_none(info: object) -> None:
    report = parse_limit_report(info, NOW)

    for window in report.windows if report else ():
        assert window.kind in WINDOW_NAMES
        assert window.resets_at is None or NOW < window.resets_at <= NOW + 32 * DAY
        assert window.used_share is None or 0 <= window.used_share <= 100


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}, {"status": "allowed"}),
        ({"type": "assistant", "api_error_params": {"rate_limit_info": {"status": "x"}}}, {"status": "x"}),
        ({"type": "assistant", "message": {}}, None),
        ({"type": "assistant", "api_error_params": None}, None),
        ({"type": "rate_limit_event"}, None),
    ],
)
def test_description_is_found_in_both_frames(frame: dict[str, Any], expected: object) -> None:
    assert find_limit_info(frame) == expected
