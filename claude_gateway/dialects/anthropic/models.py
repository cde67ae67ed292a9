"""The models in Anthropic's shape: one, or a page of the list. Pure; raises `ApiError` 400 naming what is wrong."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.numbers import read_number

_USUAL_PAGE = 20
_MOST_ON_A_PAGE = 1_000
_NAME = re.compile(r"claude-(.+?)(?:-(\d{4})(\d{2})(\d{2}))?(\[.*\])?")
# What the API says of a model whose release date it does not know.
_UNKNOWN_DATE = "1970-01-01T00:00:00Z"


def model(id_: str) -> dict[str, Any]:
    name, date = _name_and_date(id_)
    return {"type": "model", "id": id_, "display_name": name, "created_at": date, "lifecycle": "active"}


def page(ids: Sequence[str], query: Mapping[str, str]) -> dict[str, Any]:
    """The part of the list that `limit`, `after_id` and `before_id` ask for."""
    limit = _limit(query.get("limit"))
    if "before_id" in query:
        rest = ids[: _place(ids, query, "before_id")]
        shown = rest[-limit:]
    else:
        rest = ids[_place(ids, query, "after_id") + 1 :] if "after_id" in query else ids
        shown = rest[:limit]
    first, last = (shown[0], shown[-1]) if shown else (None, None)
    data = [model(id_) for id_ in shown]
    return {"data": data, "has_more": len(shown) < len(rest), "first_id": first, "last_id": last}


def _limit(text: str | None) -> int:
    return _USUAL_PAGE if text is None else read_number(text, "limit", 1, _MOST_ON_A_PAGE)


def _place(ids: Sequence[str], query: Mapping[str, str], cursor: str) -> int:
    if query[cursor] not in ids:
        raise bad(cursor, "is no model of the list")
    return ids.index(query[cursor])


def _name_and_date(id_: str) -> tuple[str, str]:
    """ "Claude Sonnet 4.5" and 2025-09-29 of claude-sonnet-4-5-20250929."""
    match = _NAME.fullmatch(id_)
    if match is None:
        return id_, _UNKNOWN_DATE
    words, year, month, day, window = match.groups()
    name = re.sub(r"(?<=\d)-(?=\d)", ".", words).replace("-", " ").title()
    date = f"{year}-{month}-{day}T00:00:00Z" if year else _UNKNOWN_DATE
    return f"Claude {name}{f' {window}' if window else ''}", date
