"""Log lines for systemd's journal, which reads how grave each is from its first letters: sd-daemon(3)."""

import logging
import os
from collections.abc import Mapping
from typing import TextIO

# The least of each level, and its priority as syslog(3) numbers them.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written there goes to the journal, and not to a file or a terminal it was sent to instead."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalFormatter(logging.Formatter):
    """Another's lines, each with its priority: the journal takes every line for an entry of its own."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in self._inner.format(record).splitlines() or [""])
