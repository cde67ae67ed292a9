"""The directory that a gateway keeps its state in, as the commands find it that work there beside or without one."""

import os
import sys
from pathlib import Path

from claude_gateway.config.reading import cannot_read
from claude_gateway.start_failed import StartFailed
from claude_gateway.stores.db import DATABASE


def find_database(state_dir: Path, *, must_be_there: bool = True) -> Path:
    """The path of the database, which a user other than its owner must not touch. Raises `StartFailed`."""
    check_user(state_dir)
    path = state_dir / DATABASE
    if must_be_there and not path.exists():
        raise StartFailed(
            f"There is no database {path}: no gateway has worked there. Is STATE_DIR that of the gateway that you mean?"
        )
    return path


def say_which(database: Path) -> None:
    """On stderr: what a command prints may be put into a file."""
    sys.stderr.write(f"claude-gateway: works on the database {database}\n")


def check_user(state_dir: Path) -> None:
    """What another user makes there, the gateway could not use: root above all. Raises `StartFailed`."""
    try:
        owner = state_dir.stat().st_uid
        (state_dir / DATABASE).exists()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartFailed(f"{cannot_read(state_dir, error)} Run this as root, or as the user of the gateway.") from None
    if owner != os.geteuid():
        raise StartFailed(f"{state_dir} is the user's with the id {owner}: run this as that user, as the gateway is.")
