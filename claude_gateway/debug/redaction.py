"""Removes secrets from requests and jobs, and truncates long values, before a client sees them. No I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

REDACTED = "[redacted]"
# Headers whose values the client may see. The gateway hides the values of all other headers.
_VISIBLE_HEADERS = re.compile(
    r"accept(-language|-encoding)?|anthropic-(version|beta)|content-(type|length|encoding)|expect|host|openai-beta|"
    r"transfer-encoding|user-agent|x-claude-.*|x-request-id|x-stainless-.*"
)
_SECRET_NAME = re.compile(r"(?i)(.*[-_])?(api[-_]?key|authorization|token|secret|password|passwd|credentials?|cookie)")
# Pattern for texts that look like a key or token. Within a word, each alternative in the pattern can match from only
# one position, so that the search never takes quadratic time.
_SECRET_VALUE = re.compile(
    r"cgw_[0-9a-f]{12}_[0-9a-f]+|sk-[\w-]{16,}|AIza[\w-]{20,}|gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|"
    r"(?<![\w-])(?=[\w-]+\.[\w-]+\.[\w-])[\w-]*?eyJ[\w-]{10,}\.[\w-]+\.[\w-]+|(?i:bearer)\s+[\w.~+/=-]{8,}"
)
_UP_TO_LAST_WORD = re.compile(r".*\s", re.DOTALL)
_MAX_TEXT_CHARS = 500
_MAX_SEARCHED_CHARS = 5_000
_MAX_ITEMS = 200
_MAX_DEPTH = 12


def redact_headers(header_items: Iterable[tuple[str, str]], secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers. Replace the values by `REDACTED`, except the values of headers that contain no secrets."""
    known_secrets = tuple(secrets)
    return {
        name.lower()[:_MAX_TEXT_CHARS]: _redact_text(value, known_secrets)
        if _VISIBLE_HEADERS.fullmatch(name.lower())
        else REDACTED
        for name, value in header_items
    }


def redact_value(data: Any, secrets: Iterable[str]) -> Any:
    """Convert any value to JSON without secrets.

    The function converts a dataclass to a JSON object with the name of the class and the fields of the dataclass.
    """
    return _redact(data, tuple(secret for secret in secrets if secret), 0)


def _redact(data: Any, secrets: tuple[str, ...], depth: int) -> Any:
    if data is None or isinstance(data, bool | int | float):
        return data
    if isinstance(data, str):
        return _redact_text(data, secrets)
    if depth > _MAX_DEPTH:
        return "…"
    if is_dataclass(data) and not isinstance(data, type):
        values = {field.name: getattr(data, field.name) for field in fields(data) if field.repr}
        return {"class": type(data).__name__, **_redact_mapping(values, secrets, depth)}
    if isinstance(data, Mapping):
        return _redact_mapping(data, secrets, depth)
    if isinstance(data, list | tuple | set | frozenset):
        items = [_redact(item, secrets, depth + 1) for item in list(data)[:_MAX_ITEMS]]
        return items + ([f"… and {len(data) - _MAX_ITEMS} more"] if len(data) > _MAX_ITEMS else [])
    return _redact_text(str(data), secrets)


def _redact_mapping(mapping: Mapping[str, Any], secrets: tuple[str, ...], depth: int) -> dict[str, Any]:
    redacted = {}
    for name, item in list(mapping.items())[:_MAX_ITEMS]:
        is_secret = isinstance(item, str) and _SECRET_NAME.fullmatch(name)
        redacted[_redact_text(name, secrets)] = REDACTED if is_secret else _redact(item, secrets, depth + 1)
    return redacted


def _redact_text(text: str, secrets: tuple[str, ...]) -> str:
    """Remove secrets from a text, then truncate it.

    If the text is too long to search, the function first truncates the text at the end of a word. If the function
    truncated the text within a secret, the search would not recognize the remaining part of the secret.
    """
    redacted = text if len(text) <= _MAX_SEARCHED_CHARS else _truncate_at_word(text[:_MAX_SEARCHED_CHARS])
    for secret in secrets:
        redacted = redacted.replace(secret, REDACTED)
    redacted = _SECRET_VALUE.sub(REDACTED, redacted)
    if len(text) <= _MAX_SEARCHED_CHARS and len(redacted) <= _MAX_TEXT_CHARS:
        return redacted
    return f"{redacted[:_MAX_TEXT_CHARS]}… ({len(text)} characters)"


def _truncate_at_word(text: str) -> str:
    match = _UP_TO_LAST_WORD.match(text)
    return match[0] if match else ""
