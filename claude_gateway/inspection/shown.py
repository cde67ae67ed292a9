"""A request and the job it became, as their caller may see them: without secrets, no longer than can be read. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

HIDDEN = "[hidden]"
# Of the headers, the values of these alone are shown.
_SHOWN_HEADERS = re.compile(
    r"accept(-language|-encoding)?|anthropic-(version|beta)|content-(type|length|encoding)|expect|host|openai-beta|"
    r"transfer-encoding|user-agent|x-claude-.*|x-request-id|x-stainless-.*"
)
_SECRET_NAME = re.compile(r"(?i)(.*[-_])?(api[-_]?key|authorization|token|secret|password|passwd|credentials?|cookie)")
# What looks like a key of somebody's, wherever it stands. Each is sought from one place of a word only, so that no text
# takes quadratic time.
_SECRET = re.compile(
    r"cgw_[0-9a-f]{12}_[0-9a-f]+|sk-[\w-]{16,}|AIza[\w-]{20,}|gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|"
    r"(?<![\w-])(?=[\w-]+\.[\w-]+\.[\w-])[\w-]*?eyJ[\w-]{10,}\.[\w-]+\.[\w-]+|(?i:bearer)\s+[\w.~+/=-]{8,}"
)
_UP_TO_LAST_WORD = re.compile(r".*\s", re.DOTALL)
_LONGEST = 500
_SEARCHED = 5_000
_MOST = 200
_DEEPEST = 12


def headers(sent: Iterable[tuple[str, str]], secrets: Iterable[str]) -> dict[str, str]:
    """All their names; the values of those that say how the request is meant."""
    known = tuple(secrets)
    return {
        name.lower()[:_LONGEST]: _text(value, known) if _SHOWN_HEADERS.fullmatch(name.lower()) else HIDDEN
        for name, value in sent
    }


def value(one: Any, secrets: Iterable[str]) -> Any:
    """JSON of anything: frozen data under the names of its fields, a block under that of its class too."""
    return _shown(one, tuple(known for known in secrets if known), 0)


def _shown(one: Any, secrets: tuple[str, ...], depth: int) -> Any:
    if one is None or isinstance(one, bool | int | float):
        return one
    if isinstance(one, str):
        return _text(one, secrets)
    if depth > _DEEPEST:
        return "…"
    if is_dataclass(one) and not isinstance(one, type):
        found = {field.name: getattr(one, field.name) for field in fields(one) if field.repr}
        return {"is": type(one).__name__, **_object(found, secrets, depth)}
    if isinstance(one, Mapping):
        return _object(one, secrets, depth)
    if isinstance(one, list | tuple | set | frozenset):
        listed = [_shown(item, secrets, depth + 1) for item in list(one)[:_MOST]]
        return listed + ([f"… and {len(one) - _MOST} more"] if len(one) > _MOST else [])
    return _text(str(one), secrets)


def _object(sent: Mapping[str, Any], secrets: tuple[str, ...], depth: int) -> dict[str, Any]:
    shown = {}
    for name, item in list(sent.items())[:_MOST]:
        is_secret = isinstance(item, str) and _SECRET_NAME.fullmatch(name)
        shown[_text(name, secrets)] = HIDDEN if is_secret else _shown(item, secrets, depth + 1)
    return shown


def _text(text: str, secrets: tuple[str, ...]) -> str:
    """Searched before it is cut, and cut at the end of a word: half a key is none that would be found."""
    seen = text if len(text) <= _SEARCHED else _whole_words(text[:_SEARCHED])
    for secret in secrets:
        seen = seen.replace(secret, HIDDEN)
    seen = _SECRET.sub(HIDDEN, seen)
    if len(text) <= _SEARCHED and len(seen) <= _LONGEST:
        return seen
    return f"{seen[:_LONGEST]}… ({len(text)} characters)"


def _whole_words(text: str) -> str:
    found = _UP_TO_LAST_WORD.match(text)
    return found[0] if found else ""
