"""Summary of stderr for the log: short, printable and without secrets."""

import pytest

from workers.cli.stderr_summary import summarize_stderr


def test_returns_the_last_line_that_is_not_blank() -> None:
    assert summarize_stderr("first\nout of memory\n \n") == "out of memory"
    assert summarize_stderr("") == ""


@pytest.mark.parametrize(
    "line",
    [
        "key sk-ant-api03-hunter2_x refused",
        "Authorization: Bearer hunter2",
        "authorization: Basic hunter2",
        "ANTHROPIC_API_KEY=hunter2",
        "CLAUDE_CODE_OAUTH_TOKEN: hunter2",
        "proxy http://user:hunter2@proxy.example:8080 refused",
        'API error: 400 {"error":{"message":"hunter2"}}',
        "credentials AKIAHUNTER2HUNTER2 expired",
    ],
)
def test_redacts_secrets_and_request_bodies(line: str) -> None:
    assert "hunter2" not in summarize_stderr(line).lower()


def test_truncates_the_line_and_removes_control_characters() -> None:
    summary = summarize_stderr("a\x1b[31m" + "b" * 1000)
    assert len(summary) == 200
    assert summary.isprintable()
