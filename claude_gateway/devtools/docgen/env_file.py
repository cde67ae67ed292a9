"""Generator of an example settings file. The file contains each setting with its default value.

Each setting in the example file is commented out. To change a setting, the operator removes the `#` before the setting.
"""

import sys
import textwrap

from claude_gateway.config import Settings
from claude_gateway.config.base import SettingsGroup
from claude_gateway.devtools.docgen.settings_table import format_default

_HEADER = """\
# Settings of the Claude gateway. The gateway reads this file under the name .env from the directory in which it starts
# (with systemd: /etc/claude-gateway). The environment has priority; the values shown here are the defaults.
# `systemctl reload claude-gateway`, or SIGHUP, reads the file again; the log then names settings that need a restart.
# Written by `make tables`.
"""
_LINE_WIDTH_CHARS = 118


def print_env_file() -> int:
    """Print the example settings file, and return the exit status."""
    sys.stdout.write(render_env_file())
    return 0


def render_env_file() -> str:
    """Return the text of the example settings file."""
    groups = [
        cls
        for cls in reversed(Settings.__mro__)
        if issubclass(cls, SettingsGroup) and cls not in (SettingsGroup, Settings)
    ]
    return "\n".join([_HEADER, *(part for group in groups for part in _render_group(group))])


def _render_group(group: type[SettingsGroup]) -> list[str]:
    own = [name for name in group.__annotations__ if name in Settings.model_fields]
    title = (group.__doc__ or "").strip().splitlines()[0]
    return [f"# --- {title}\n", *(_render_setting(name) for name in own)]


def _render_setting(name: str) -> str:
    field = Settings.model_fields[name]
    lines = textwrap.wrap(field.description or "", _LINE_WIDTH_CHARS)
    return "\n".join([*(f"# {line}" for line in lines), f"#{name.upper()}={format_default(field.default)}", ""])
