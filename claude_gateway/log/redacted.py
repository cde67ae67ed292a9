"""Lines of the log without secrets. Pure.

Nothing here writes a secret into a line to begin with; this is for what a library or a stranger brings in.
"""

import re

_GONE = "[redacted]"
_SECRETS = (
    # Of a shape of their own: ours, Anthropic's, Google's, other providers', AWS's.
    re.compile(r"cgw_[0-9a-f]{12}_[0-9a-f]+|sk-[A-Za-z0-9_-]{8,}|AIza[\w-]{20,}|A[KS]IA[A-Z0-9]{12,}"),
    # Behind the name of a header or a field, up to the next blank or mark.
    re.compile(
        r"(?i)(?<![\w-])"
        r"((?:proxy-)?authorization|x-api-key|x-goog-api-key|[\w-]*api[_-]?key|key|cookie|[\w-]*(?:token|secret|password))"
        r"([\"']?\s*[=:]\s*[\"']?)(?:(?:bearer|basic)\s+)?(?!\d+\b)[^\s\"'&;,})]+"
    ),
    re.compile(r"(?i)(bearer)(\s+)[\w.~+/=-]{6,}"),
)


def redacted(text: str) -> str:
    own, named, bearer = _SECRETS
    text = own.sub(_GONE, text)
    text = named.sub(rf"\1\2{_GONE}", text)
    return bearer.sub(rf"\1\2{_GONE}", text)
