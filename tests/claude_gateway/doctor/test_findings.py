"""What a look at a set-up found, on a terminal and as JSON."""

import io
import json

import pytest
from rich.console import Console

from claude_gateway.commands import console
from claude_gateway.doctor.findings import Finding, exit_status, failed, ok, skipped, warning

FINDINGS = [
    ok("The port", "8000 is free"),
    warning("The disk", "2 GiB are free", "make room"),
    failed("The login", "there is none", "run `claude-gateway login`"),
    skipped("The proxy", "no --url"),
]


def shown(*, json_only: bool = False, width: int = 100) -> str:
    out = io.StringIO()
    console.show(FINDINGS, json_only=json_only, console=Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 100, 200])
def test_each_is_a_line_with_its_remedy_below(width: int) -> None:
    lines = [line.split() for line in shown(width=width).splitlines()]
    assert lines[0] == ["ok", "The", "port", "8000", "is", "free"]
    assert lines[3:5] == [
        ["FAILED", "The", "login", "there", "is", "none"],
        ["→", "run", "`claude-gateway", "login`"],
    ]
    assert lines[-1] == ["1", "ok,", "1", "warning,", "1", "failed,", "1", "skipped"]


def test_what_was_seen_is_never_read_as_the_terminal_s_own_words() -> None:
    out = io.StringIO()
    console.show([ok("[red]x[/]", "[bold]y\x1b[2J")], json_only=False, console=Console(file=out, width=100))
    assert "[red]x[/]" in out.getvalue()
    assert "[bold]y" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_as_json_each_is_an_object() -> None:
    assert json.loads(shown(json_only=True))[2] == {
        "subject": "The login",
        "state": "failed",
        "seen": "there is none",
        "remedy": "run `claude-gateway login`",
    }


@pytest.mark.parametrize(("findings", "status"), [(FINDINGS, 1), (FINDINGS[:2], 0), ([], 0)])
def test_only_what_failed_fails(findings: list[Finding], status: int) -> None:
    assert exit_status(findings) == status
