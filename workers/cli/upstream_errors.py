"""Parser for the upstream's error messages, which the CLI writes to stderr. No I/O.

In its frames, the CLI replaces many of these messages with its own ("Prompt is too long", "Image was too large. Try
resizing the image…"), but clients depend on the upstream's messages. With `--debug-to-stderr`, the CLI writes an error
to stderr for each failed request, before it writes the frames about the request. CLI 2.1.332 writes:

    2026-11-30T10:17:26.139Z [ERROR] API error (attempt 1/2): 400 400 {"type":"error","error":{…}}
    2026-11-30T10:17:26.143Z [ERROR] Error in API request: 400 {"type":"error","error":{…}}
"""

import re
from typing import Any

import orjson

from workers.core.errors import ErrorKind, WorkerError

MAX_QUOTE_CHARS = 8_000
PROMPT_TOO_LONG = "prompt is too long"
# On stderr, the CLI writes this mark in place of text that looks like a secret, as in "max_tokens: 200000". In its
# frames, the CLI does not replace such text.
_REDACTION_MARK = "[REDACTED]"
_CONTEXT_LIMIT_EXCEEDED = "exceed context limit"

_ERROR_LINE = re.compile(
    r"^\S+ \[ERROR\] (?:Error in API request:|API error \(attempt \d+/\d+\): \d+) \d+ (\{.*)$", re.MULTILINE
)
# Errors whose messages are about the request itself. The messages of other errors are about the gateway's account and
# host.
_QUOTED_KINDS = frozenset({ErrorKind.INVALID_REQUEST, ErrorKind.CONTEXT_LENGTH_EXCEEDED, ErrorKind.REQUEST_TOO_LARGE})


def should_quote(error: WorkerError) -> bool:
    """Return whether the client may read the upstream's message about this error."""
    return error.kind in _QUOTED_KINDS


def parse_upstream_message(stderr: str) -> str:
    """Return the upstream's message about the newest failed request, or "" if the output has no complete message."""
    bodies = _ERROR_LINE.findall(stderr)
    try:
        message = _parse_message(orjson.loads(bodies[-1])) if bodies else ""
    except orjson.JSONDecodeError:
        return ""
    return "" if _REDACTION_MARK in message else message[:MAX_QUOTE_CHARS]


def quote_upstream_message(error: WorkerError, message: str) -> WorkerError:
    """Return the error with the upstream's message in place of the CLI's message."""
    text = ensure_too_long_text(message) if error.kind is ErrorKind.CONTEXT_LENGTH_EXCEEDED else message
    return WorkerError(error.kind, text, retry_after=error.retry_after, detail=error.detail)


def ensure_too_long_text(message: str) -> str:
    """Return the message with the phrase by which clients recognize that a conversation is too long."""
    if PROMPT_TOO_LONG in message.lower() or _CONTEXT_LIMIT_EXCEEDED in message:
        return message
    return f"{PROMPT_TOO_LONG}: {message}" if message else PROMPT_TOO_LONG


def _parse_message(body: Any) -> str:
    """Return the message in an error body: `error.message` in the Messages API, `message` in the API of Bedrock."""
    match body:
        case {"error": {"message": str(message)}} | {"message": str(message)}:
            return message
    return ""
