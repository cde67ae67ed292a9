"""Redaction of secrets in log lines. No I/O.

The gateway itself never logs a secret. However, the messages of libraries and the data of clients may contain secrets.
"""

import re

_REDACTED = "[redacted]"
_SECRET_PATTERNS = (
    # API keys with a known format, from the gateway, Anthropic, Google, other providers and AWS.
    re.compile(r"cgw_[0-9a-f]{12}_[0-9a-f]+|sk-[A-Za-z0-9_-]{8,}|AIza[\w-]{20,}|A[KS]IA[A-Z0-9]{12,}"),
    # The value after the name of a header or field that contains a secret, up to the next space or delimiter.
    re.compile(
        r"(?i)(?<![\w-])"
        r"((?:proxy-)?authorization|x-api-key|x-goog-api-key|[\w-]*api[_-]?key|key|cookie|[\w-]*(?:token|secret|password))"
        r"([\"']?\s*[=:]\s*[\"']?)(?:(?:bearer|basic)\s+)?(?!\d+\b)[^\s\"'&;,})]+"
    ),
    re.compile(r"(?i)(bearer)(\s+)[\w.~+/=-]{6,}"),
)


def redact_secrets(text: str) -> str:
    """Replace each part of a text that looks like a secret with `[redacted]`."""
    known_format, named_value, bearer = _SECRET_PATTERNS
    text = known_format.sub(_REDACTED, text)
    text = named_value.sub(rf"\1\2{_REDACTED}", text)
    return bearer.sub(rf"\1\2{_REDACTED}", text)
