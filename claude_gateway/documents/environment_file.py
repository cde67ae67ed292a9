"""An example of a settings file, generated from the settings class: every setting, by group, all of them commented."""

import sys
import textwrap

from claude_gateway.config import Settings
from claude_gateway.config.group import Group
from claude_gateway.documents.settings_table import default_text

_HEAD = """\
# Settings of the Claude gateway, as a file named .env in the directory where it is started (with systemd:
# /etc/claude-gateway). What is set in the environment goes before it; what is set nowhere has the default shown here.
# `systemctl reload claude-gateway`, or SIGHUP, reads it again; what needs a restart is named in the log then.
# Written by `make readme`.
"""
_WIDTH = 118


def write() -> int:
    sys.stdout.write(text())
    return 0


def text() -> str:
    groups = [cls for cls in reversed(Settings.__mro__) if issubclass(cls, Group) and cls not in (Group, Settings)]
    return "\n".join([_HEAD, *(part for group in groups for part in _part(group))])


def _part(group: type[Group]) -> list[str]:
    own = [name for name in group.__annotations__ if name in Settings.model_fields]
    title = (group.__doc__ or "").strip().splitlines()[0]
    return [f"# --- {title}\n", *(_setting(name) for name in own)]


def _setting(name: str) -> str:
    field = Settings.model_fields[name]
    said = textwrap.wrap(field.description or "", _WIDTH)
    return "\n".join([*(f"# {line}" for line in said), f"#{name.upper()}={default_text(field.default)}", ""])
