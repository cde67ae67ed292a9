"""The upstream's own words about a request that it refused, read from what the CLI writes to stderr. Pure.

In its frames the CLI replaces many of them with its own ("Prompt is too long", "Image was too large. Try resizing the
image…"), and programs act on the upstream's. With `--debug-to-stderr` the CLI writes every failed request to stderr,
before the frames that speak of it. CLI 2.1.332 was seen to write:

    2026-11-30T10:17:26.139Z [ERROR] API error (attempt 1/2): 400 400 {"type":"error","error":{…}}
    2026-11-30T10:17:26.143Z [ERROR] Error in API request: 400 {"type":"error","error":{…}}
"""

import re
from typing import Any

import orjson

from workers.errors import ErrorKind, WorkerError

MAX_QUOTE = 8_000
TOO_LONG = "prompt is too long"
# The CLI puts it in place of what it takes for a secret, as in "max_tokens: 200000". Its frames have the words whole.
_REDACTED = "[REDACTED]"
_EXCEEDS_WITH_OUTPUT = "exceed context limit"

_LINE = re.compile(
    r"^\S+ \[ERROR\] (?:Error in API request:|API error \(attempt \d+/\d+\): \d+) \d+ (\{.*)$", re.MULTILINE
)
# These speak of the request itself. Other errors speak of this gateway's account and host.
_QUOTED = frozenset({ErrorKind.INVALID_REQUEST, ErrorKind.TOO_LONG, ErrorKind.TOO_LARGE})


def is_quoted(error: WorkerError) -> bool:
    """Return whether the client is told the upstream's own words about this error."""
    return error.kind in _QUOTED


def upstream_message(stderr: str) -> str:
    """Return the message of the newest failed request; "" where there is none, or not the whole of it."""
    bodies = _LINE.findall(stderr)
    try:
        message = _message(orjson.loads(bodies[-1])) if bodies else ""
    except orjson.JSONDecodeError:
        return ""
    return "" if _REDACTED in message else message[:MAX_QUOTE]


def quote(error: WorkerError, message: str) -> WorkerError:
    """Return the error with the upstream's message in place of the CLI's."""
    said = name_too_long(message) if error.kind is ErrorKind.TOO_LONG else message
    return WorkerError(error.kind, said, retry_after=error.retry_after, detail=error.detail)


def name_too_long(message: str) -> str:
    """Return the message with the words by which programs know that a conversation is too long."""
    if TOO_LONG in message.lower() or _EXCEEDS_WITH_OUTPUT in message:
        return message
    return f"{TOO_LONG}: {message}" if message else TOO_LONG


def _message(body: Any) -> str:
    """Return what the body says: `error.message` of the Messages API, `message` of Bedrock."""
    match body:
        case {"error": {"message": str(message)}} | {"message": str(message)}:
            return message
    return ""
