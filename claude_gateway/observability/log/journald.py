"""Formatter that writes log lines for journald.

As sd-daemon(3) describes, journald reads the priority of a line from its first characters.
"""

import logging
import os
from collections.abc import Mapping
from typing import TextIO

# The lowest log level for each priority. syslog(3) defines the numbers of the priorities.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7


def is_journald_stream(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether journald receives the data of a stream, and not a file or a terminal."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


class JournaldFormatter(logging.Formatter):
    """Formatter that adds the priority to every line, because journald makes a separate entry of each line.

    Args:
        inner: Formatter that produces the lines.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines for a log record. Each line begins with the priority of the record."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG_PRIORITY)
        return "\n".join(f"<{priority}>{line}" for line in self._inner.format(record).splitlines() or [""])
