"""Headers with which the fake Anthropic API reports the limits of a subscription."""

import pytest

from claude_gateway.devtools.fake_anthropic.limit_headers import build_limit_headers, parse_windows
from claude_gateway.devtools.fake_anthropic.script import parse_script

NOW = 1_000_000.0
PREFIX = "anthropic-ratelimit-unified"


def test_without_windows_there_are_no_headers() -> None:
    assert build_limit_headers((), NOW) == {}


def test_worst_window_decides() -> None:
    windows = parse_windows("five_hour=allowed,0.4,60 seven_day=rejected,1,3600")
    assert build_limit_headers(windows, NOW) == {
        f"{PREFIX}-status": "rejected",
        f"{PREFIX}-reset": "1003600",
        f"{PREFIX}-representative-claim": "seven_day",
        f"{PREFIX}-5h-status": "allowed",
        f"{PREFIX}-5h-utilization": "0.4",
        f"{PREFIX}-5h-reset": "1000060",
        f"{PREFIX}-7d-status": "rejected",
        f"{PREFIX}-7d-utilization": "1",
        f"{PREFIX}-7d-reset": "1003600",
        "retry-after": "3600",
    }


def test_window_of_a_model_has_no_headers_of_its_own() -> None:
    headers = build_limit_headers(parse_windows("seven_day_opus=allowed,0.5,60"), NOW)
    assert headers == {
        f"{PREFIX}-status": "allowed",
        f"{PREFIX}-reset": "1000060",
        f"{PREFIX}-representative-claim": "seven_day_opus",
    }


def test_invalid_numbers_are_sent_unchanged() -> None:
    headers = build_limit_headers(parse_windows("five_hour=rejected,nan,soon"), NOW)
    assert (headers[f"{PREFIX}-5h-utilization"], headers[f"{PREFIX}-reset"]) == ("nan", "soon")
    assert "retry-after" not in headers


@pytest.mark.parametrize("argument", ["five_hour", "five_hour=allowed", "five_hour=allowed,1"])
def test_incomplete_windows_are_rejected(argument: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        parse_windows(argument)


@pytest.mark.parametrize(("status", "expected"), [("allowed", 200), ("allowed_warning", 200), ("rejected", 429)])
def test_rejected_window_makes_the_reply_fail(status: str, expected: int) -> None:
    prompt = f"{{{{limits five_hour={status},1,60}}}}"
    assert parse_script({"messages": [{"role": "user", "content": prompt}]}).status == expected
