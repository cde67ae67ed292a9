"""Priorities of log lines for journald."""

import logging
import os
import sys
from pathlib import Path

import pytest

from claude_gateway.observability.log.journald import JournaldFormatter, is_journald_stream


def test_detects_stream_of_journald(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        stat = os.fstat(stream.fileno())
        assert is_journald_stream(stream, {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"})
        assert not is_journald_stream(stream, {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino + 1}"})
        assert not is_journald_stream(stream, {})


@pytest.mark.parametrize(
    ("level", "priority"), [("CRITICAL", 2), ("ERROR", 3), ("WARNING", 4), ("INFO", 6), ("DEBUG", 7)]
)
def test_every_line_has_its_priority(level: str, priority: int) -> None:
    formatter = JournaldFormatter(logging.Formatter("%(name)s: %(message)s"))
    record = logging.LogRecord("gate", getattr(logging, level), "", 0, "two\nlines", (), None)

    assert formatter.format(record) == f"<{priority}>gate: two\n<{priority}>lines"


def test_all_lines_of_a_traceback_have_the_same_priority() -> None:
    try:
        int("wrong")
    except ValueError:
        record = logging.LogRecord("gate", logging.ERROR, "", 0, "failed", (), sys.exc_info())

    lines = JournaldFormatter(logging.Formatter("%(message)s")).format(record).splitlines()

    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)
