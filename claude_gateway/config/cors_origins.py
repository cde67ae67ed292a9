"""Parser for the setting `CORS_ORIGINS`, which lists origins of web pages. No I/O."""

import json
import re
from functools import lru_cache
from urllib.parse import urlsplit

# An origin in the form in which browsers send it, without path and user. The case of letters does not matter.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*,]+")


@lru_cache(maxsize=16)
def parse_origins(text: str) -> tuple[str, ...]:
    """Parse a JSON list or a comma-separated list of origins.

    Raises:
        ValueError: If an entry is not an origin.
    """
    origins = [entry.strip().rstrip("/") for entry in _parse_list(text.strip()) if entry.strip()]
    for origin in origins:
        # Reject `null`, because every sandboxed page sends `null` as its origin.
        if origin != "*" and not (_ORIGIN.fullmatch(origin.lower()) and urlsplit(origin).hostname):
            raise ValueError(f"{origin[:80]!r} is not an origin; write `https://example.com`, or `*` for any origin")
    return tuple(origin.lower() for origin in origins)


def _parse_list(text: str) -> list[str]:
    if not text.startswith("["):
        return text.split(",")
    entries = json.loads(text)
    if not all(isinstance(entry, str) for entry in entries):
        raise ValueError("must be a list of strings")
    return list(entries)
