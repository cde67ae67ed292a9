"""The directory that a gateway keeps its state in, as the commands find it that work there beside or without one."""

import os
from pathlib import Path

from claude_gateway.start_failed import StartFailed


def check_user(state_dir: Path) -> None:
    """What another user makes there, the gateway could not use: root above all. Raises `StartFailed`."""
    if state_dir.exists() and (owner := state_dir.stat().st_uid) != os.geteuid():
        raise StartFailed(f"{state_dir} is the user's with the id {owner}: run this as that user, as the gateway is.")
