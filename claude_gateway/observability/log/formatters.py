"""Log formatters for the console and for JSON. They add the request id to each line and redact secrets."""

import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from claude_gateway.observability.log.journald import JournaldFormatter, is_journald_stream
from claude_gateway.observability.log.redaction import redact_secrets
from claude_gateway.observability.log.request_id import CURRENT_REQUEST_ID

LogFormat = Literal["console", "json"]

# Name of the attribute in which a log record holds further fields for its JSON line.
REQUEST_FIELDS = "request"
_GATEWAY_LOGGERS = ("claude_gateway", "workers")


def configure_logging(level: int, log_format: LogFormat) -> None:
    """Send the log to stderr in the given format, and set the level of the gateway's loggers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_create_formatter(log_format))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    set_log_level(level)


def set_log_level(level: int) -> None:
    """Set the level of the gateway's loggers.

    The level of the libraries' loggers does not change, because their debug messages contain data of clients.
    """
    for name in _GATEWAY_LOGGERS:
        logging.getLogger(name).setLevel(level)


def _create_formatter(log_format: LogFormat) -> logging.Formatter:
    if log_format == "json":
        return JsonFormatter()
    if is_journald_stream(sys.stderr, os.environ):  # journald adds the time itself
        return JournaldFormatter(ConsoleFormatter("%(levelname)s %(name)s: %(message)s"))
    return ConsoleFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


class ConsoleFormatter(logging.Formatter):
    """Formatter for log lines that people read. Each line is text, followed by the request id."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text for a log record, without secrets."""
        request_id = CURRENT_REQUEST_ID.get()
        line = redact_secrets(super().format(record))
        return f"{line} [{request_id}]" if request_id is not None and request_id not in line else line


class JsonFormatter(logging.Formatter):
    """Formatter for log lines that programs read. Each line is one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON object for a log record, without secrets in its message and exception."""
        request_id = CURRENT_REQUEST_ID.get()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_secrets(record.getMessage()),
        }
        if request_id is not None:
            line["request_id"] = request_id
        line |= getattr(record, REQUEST_FIELDS, {})
        if record.exc_info:
            line["exception"] = redact_secrets(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()
