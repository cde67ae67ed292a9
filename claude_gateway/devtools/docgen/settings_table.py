"""Generator of the Markdown table that lists the settings. It reads the settings from the settings class."""

from pydantic_core import PydanticUndefined

from claude_gateway.config import Settings
from claude_gateway.devtools.docgen.markers import GeneratedSection


def render_settings_table() -> str:
    """Return a Markdown table with one row for each setting, in the order in which the class defines the settings."""
    rows = ["| setting | default | description |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{format_default(field.default)}`"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def format_default(value: object) -> str:
    """Return a default value in the form in which an operator writes it in a settings file.

    Returns:
        The text of the value, or "" if the setting has no default.
    """
    if value in (None, PydanticUndefined):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


SETTINGS_SECTION = GeneratedSection("settings", render_settings_table)
