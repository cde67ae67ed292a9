"""Model objects and pages of the model list, in the format of Anthropic's Models API. No I/O."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.parameters.numbers import parse_integer

_DEFAULT_PAGE_SIZE = 20
_MAX_PAGE_SIZE = 1_000
_MODEL_ID_PATTERN = re.compile(r"claude-(.+?)(?:-(\d{4})(\d{2})(\d{2}))?(\[.*\])?")
# Anthropic's API returns this date for a model whose release date is unknown.
_UNKNOWN_DATE = "1970-01-01T00:00:00Z"


def model_object(id_: str) -> dict[str, Any]:
    """Return the JSON object that describes a model. The display name and the date come from the model id."""
    name, date = _name_and_date(id_)
    return {"type": "model", "id": id_, "display_name": name, "created_at": date, "lifecycle": "active"}


def model_list_object(ids: Sequence[str], query: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of the model list. The query parameters `limit`, `after_id` and `before_id` select the page.

    Raises:
        ApiError: 400 if `limit` is out of range, or if `after_id` or `before_id` is not the id of a model.
    """
    limit = _parse_limit(query.get("limit"))
    if "before_id" in query:
        rest = ids[: _find_cursor_index(ids, query, "before_id")]
        page = rest[-limit:]
    else:
        rest = ids[_find_cursor_index(ids, query, "after_id") + 1 :] if "after_id" in query else ids
        page = rest[:limit]
    first, last = (page[0], page[-1]) if page else (None, None)
    data = [model_object(id_) for id_ in page]
    return {"data": data, "has_more": len(page) < len(rest), "first_id": first, "last_id": last}


def _parse_limit(text: str | None) -> int:
    return _DEFAULT_PAGE_SIZE if text is None else parse_integer(text, "limit", 1, _MAX_PAGE_SIZE)


def _find_cursor_index(ids: Sequence[str], query: Mapping[str, str], cursor: str) -> int:
    if query[cursor] not in ids:
        raise bad_request(cursor, "is not the id of a model in the list")
    return ids.index(query[cursor])


def _name_and_date(id_: str) -> tuple[str, str]:
    """Derive the display name and the release date of a model from its id.

    For example, claude-sonnet-4-5-20250929 becomes "Claude Sonnet 4.5" and 2025-09-29T00:00:00Z.
    """
    match = _MODEL_ID_PATTERN.fullmatch(id_)
    if match is None:
        return id_, _UNKNOWN_DATE
    words, year, month, day, window = match.groups()
    name = re.sub(r"(?<=\d)-(?=\d)", ".", words).replace("-", " ").title()
    date = f"{year}-{month}-{day}T00:00:00Z" if year else _UNKNOWN_DATE
    return f"Claude {name}{f' {window}' if window else ''}", date
