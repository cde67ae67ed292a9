"""The lines of the log: for people or as JSON, each with the id of its request, none with a secret."""

import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from claude_gateway.ledger.entry import VISIT
from claude_gateway.log.journal import JournalFormatter, is_journal
from claude_gateway.log.redacted import redacted

Form = Literal["console", "json"]

# What a line of JSON may say beside its message.
REQUEST = "request"
_OURS = ("claude_gateway", "workers")


def write_log(level: int, form: Form) -> None:
    """To stderr, from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    speak_at(level)


def speak_at(level: int) -> None:
    """Only our own modules do: what libraries say of their work at the level of debugging holds what callers said."""
    for name in _OURS:
        logging.getLogger(name).setLevel(level)


def _formatter(form: Form) -> logging.Formatter:
    if form == "json":
        return JsonLines()
    if is_journal(sys.stderr, os.environ):  # which has the time of its own
        return JournalFormatter(ConsoleLines("%(levelname)s %(name)s: %(message)s"))
    return ConsoleLines("%(asctime)s %(levelname)s %(name)s: %(message)s")


class ConsoleLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        visit = VISIT.get()
        line = redacted(super().format(record))
        return f"{line} [{visit.request_id}]" if visit and visit.request_id not in line else line


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        visit = VISIT.get()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if visit:
            line["request_id"] = visit.request_id
        line |= getattr(record, REQUEST, {})
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()
