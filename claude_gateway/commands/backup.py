"""`claude-gateway backup` and `restore`: a copy of all that the gateway stores in its database, and back again."""

import argparse
import os
import sys
from pathlib import Path

from claude_gateway.commands.settings import command_settings
from claude_gateway.commands.state_directory import check_user, find_database, say_which
from claude_gateway.config.reading import cannot_read
from claude_gateway.start_failed import StartFailed
from claude_gateway.stores.backup import back_up, restore
from claude_gateway.stores.db import DATABASE, StoreUnusable
from claude_gateway.stores.directory_lock import locked
from workers.homes import StateDirectoryInUse


def run_backup(arguments: argparse.Namespace) -> int:
    """The gateway may be running."""
    database = find_database(command_settings().state_dir)
    beside = arguments.file.parent
    if beside.is_dir() and not os.access(beside, os.W_OK | os.X_OK):
        raise StartFailed(f"The user of the gateway may make no file in {beside}: name one in {database.parent}.")
    try:
        back_up(database, arguments.file)
    except StoreUnusable as error:
        raise StartFailed(str(error)) from None
    say_which(database)
    sys.stderr.write(f"{arguments.file}: {arguments.file.stat().st_size} bytes, whole; it holds keys\n")
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    """The gateway may not be running; its lock is held meanwhile."""
    settings = command_settings()
    check_user(settings.state_dir)
    try:
        arguments.file.open("rb").close()
    except OSError as error:
        raise StartFailed(cannot_read(arguments.file, error)) from None
    try:
        with locked(settings.state_dir):
            aside = restore(arguments.file, settings.state_dir / DATABASE)
    except StateDirectoryInUse as error:
        raise StartFailed(f"A gateway works in {error}: stop it first.") from None
    except OSError as error:
        raise StartFailed(f"Cannot use STATE_DIR: {error}") from None
    except StoreUnusable as error:
        raise StartFailed(str(error)) from None
    say_which(settings.state_dir / DATABASE)
    sys.stderr.write(f"restored; what was there before is {aside or 'nothing'}\n")
    return 0


def absolute(path: str) -> Path:
    """As it was meant where the command was called; the service has another directory."""
    return Path(path).absolute()


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    backup = verbs.add_parser("backup", help="copy the database, also of a running gateway; the copy holds keys")
    backup.add_argument("file", type=absolute, metavar="FILE", help="must not be there yet")
    backup.set_defaults(run=run_backup)
    back = verbs.add_parser("restore", help="put a copy in the place of the database of a gateway that does not run")
    back.add_argument("file", type=absolute, metavar="FILE", help="made by `backup`")
    back.set_defaults(run=run_restore)
