"""How the journal is told how grave a line is."""

import logging
import os
import sys
from pathlib import Path

import pytest

from claude_gateway.log.journal import JournalFormatter, is_journal


def test_a_stream_is_the_journal_s_when_systemd_says_it_is_this_very_one(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not is_journal(stream, {})


@pytest.mark.parametrize(
    ("level", "priority"), [("CRITICAL", 2), ("ERROR", 3), ("WARNING", 4), ("INFO", 6), ("DEBUG", 7)]
)
def test_every_line_has_its_priority(level: str, priority: int) -> None:
    formatter = JournalFormatter(logging.Formatter("%(name)s: %(message)s"))
    record = logging.LogRecord("gate", getattr(logging, level), "", 0, "two\nlines", (), None)

    assert formatter.format(record) == f"<{priority}>gate: two\n<{priority}>lines"


def test_a_traceback_is_of_one_priority() -> None:
    try:
        int("wrong")
    except ValueError:
        record = logging.LogRecord("gate", logging.ERROR, "", 0, "failed", (), sys.exc_info())

    lines = JournalFormatter(logging.Formatter("%(message)s")).format(record).splitlines()

    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)
