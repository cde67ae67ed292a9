"""The origins of web pages, as they are written in `CORS_ORIGINS`. Pure."""

import json
import re
from urllib.parse import urlsplit

# As a browser sends it: no path, no user, and no case to be minded.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*,]+")


def read_origins(text: str) -> tuple[str, ...]:
    """A JSON list, or names with commas between. Raises `ValueError` for what is no origin."""
    origins = [one.strip().rstrip("/") for one in _listed(text.strip()) if one.strip()]
    for origin in origins:
        # `null` is what every page in a sandbox says of itself.
        if origin != "*" and not (_ORIGIN.fullmatch(origin.lower()) and urlsplit(origin).hostname):
            raise ValueError(f"{origin[:80]!r} is no origin; write `https://example.com`, or `*` for any")
    return tuple(origin.lower() for origin in origins)


def _listed(text: str) -> list[str]:
    if not text.startswith("["):
        return text.split(",")
    listed = json.loads(text)
    if not all(isinstance(one, str) for one in listed):
        raise ValueError("must be a list of texts")
    return list(listed)
