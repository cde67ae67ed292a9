"""The table of settings, generated from the settings class, as Markdown."""

import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from claude_gateway.config import Settings

_BEGIN = "<!-- settings: written by `make readme` -->"
_END = "<!-- end of settings -->"


def table() -> str:
    """One row a setting, in the order of the class."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{_text(field.default)}`"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def write(path: Path | None) -> int:
    """Put the table between the marks of a file, or print it."""
    if path is None:
        sys.stdout.write(table() + "\n")
    else:
        path.write_text(_replaced(path.read_text()))
    return 0


def check(path: Path) -> int:
    """1 when the file's table is not the current one."""
    text = path.read_text()
    if _replaced(text) == text:
        return 0
    sys.stderr.write(f"{path}: the table of settings is out of date; run `make readme`\n")
    return 1


def _replaced(text: str) -> str:
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"no place for the table: the marks {_BEGIN} and {_END} are missing")
    return f"{before}{begin}\n{table()}\n{end}{after}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
