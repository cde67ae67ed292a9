"""The table of settings, generated from the settings class, as Markdown."""

from pydantic_core import PydanticUndefined

from claude_gateway.config import Settings
from claude_gateway.documents.generated import Part


def table() -> str:
    """One row a setting, in the order of the class."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{default_text(field.default)}`"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def default_text(value: object) -> str:
    if value in (None, PydanticUndefined):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


SETTINGS = Part("settings", table)
