"""Functions that several commands use.

The functions load the settings, find the database, and make text safe for a terminal.
"""

import os
import sys
from pathlib import Path

from claude_gateway.config import Settings
from claude_gateway.config.loading import load_settings, unreadable_message
from claude_gateway.core.errors import StartupError
from claude_gateway.storage.database import DATABASE_FILE_NAME


def load_command_settings() -> Settings:
    """Return the settings, and write to stderr every warning about them.

    Raises:
        InvalidSettings: The settings are not valid.
    """
    reading = load_settings()
    for warning in reading.warnings:
        sys.stderr.write(f"claude-gateway: {warning}\n")
    return reading.settings


def find_database(state_dir: Path, *, must_exist: bool = True) -> Path:
    """Return the path of the gateway's database.

    Raises:
        StartupError: The database is missing although `must_exist` is true, or the state directory belongs to another
            user.
    """
    check_user(state_dir)
    path = state_dir / DATABASE_FILE_NAME
    if must_exist and not path.exists():
        raise StartupError(
            f"There is no database {path}: no gateway has used this directory. Set STATE_DIR to your gateway's."
        )
    return path


def print_database_path(database: Path) -> None:
    """Print the path of the database to stderr, because the operator may redirect stdout to a file."""
    sys.stderr.write(f"claude-gateway: works on the database {database}\n")


def check_user(state_dir: Path) -> None:
    """Check that the command runs as the gateway's user.

    If another user, such as root, created files in the state directory, the gateway could not use them.

    Raises:
        StartupError: The state directory belongs to another user or cannot be read.
    """
    try:
        uid = state_dir.stat().st_uid
        (state_dir / DATABASE_FILE_NAME).exists()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartupError(
            f"{unreadable_message(state_dir, error)} Run this command as root or as the gateway's user."
        ) from None
    if uid != os.geteuid():
        raise StartupError(f"{state_dir} belongs to the user with id {uid}. Run this command as that user.")


def make_printable(text: str) -> str:
    """Replace the control characters in a text, so that text from clients or processes cannot control the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
