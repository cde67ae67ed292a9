"""Tests of the doctor's results, on a terminal and as JSON."""

import io
import json

import pytest
from rich.console import Console

from claude_gateway.cli import output
from claude_gateway.doctor.result import (
    CheckResult,
    exit_status,
    failed_result,
    ok_result,
    skipped_result,
    warning_result,
)

RESULTS = [
    ok_result("The port", "8000 is free"),
    warning_result("The disk", "2 GiB are free", "make room"),
    failed_result("The login", "there is none", "run `claude-gateway login`"),
    skipped_result("The proxy", "no --url"),
]


def print_to_string(*, json_only: bool = False, width: int = 100) -> str:
    out = io.StringIO()
    output.print_results(RESULTS, json_only=json_only, console=Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 100, 200])
def test_each_result_is_a_line_with_its_remedy_below(width: int) -> None:
    lines = [line.split() for line in print_to_string(width=width).splitlines()]
    assert lines[0] == ["ok", "The", "port", "8000", "is", "free"]
    assert lines[3:5] == [
        ["FAILED", "The", "login", "there", "is", "none"],
        ["→", "run", "`claude-gateway", "login`"],
    ]
    assert lines[-1] == ["1", "ok,", "1", "warning,", "1", "failed,", "1", "skipped"]


def test_output_of_other_programs_cannot_control_the_terminal() -> None:
    out = io.StringIO()
    output.print_results(
        [ok_result("[red]x[/]", "[bold]y\x1b[2J")], json_only=False, console=Console(file=out, width=100)
    )
    assert "[red]x[/]" in out.getvalue()
    assert "[bold]y" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_each_result_is_an_object_in_json() -> None:
    assert json.loads(print_to_string(json_only=True))[2] == {
        "subject": "The login",
        "state": "failed",
        "seen": "there is none",
        "remedy": "run `claude-gateway login`",
    }


@pytest.mark.parametrize(("results", "status"), [(RESULTS, 1), (RESULTS[:2], 0), ([], 0)])
def test_only_failures_fail_the_command(results: list[CheckResult], status: int) -> None:
    assert exit_status(results) == status
