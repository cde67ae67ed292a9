"""The command `claude-gateway backup`, which copies the database, and `restore`, which replaces it by a copy."""

import argparse
import os
import sys
from pathlib import Path

from claude_gateway.cli.common import check_user, find_database, load_command_settings, print_database_path
from claude_gateway.config.loading import unreadable_message
from claude_gateway.core.errors import StartupError
from claude_gateway.storage.backup import back_up_database, restore_database
from claude_gateway.storage.database import DATABASE_FILE_NAME, StorageUnavailable
from claude_gateway.storage.directory_lock import lock_directory
from workers.host.process_dirs import StateDirectoryInUse


def run_backup(arguments: argparse.Namespace) -> int:
    """Copy the database to a new file. The gateway may be running."""
    database = find_database(load_command_settings().state_dir)
    directory = arguments.file.parent
    if directory.is_dir() and not os.access(directory, os.W_OK | os.X_OK):
        raise StartupError(
            f"The gateway's user cannot create a file in {directory}. Name a file in {database.parent} instead."
        )
    try:
        back_up_database(database, arguments.file)
    except StorageUnavailable as error:
        raise StartupError(str(error)) from None
    print_database_path(database)
    sys.stderr.write(f"{arguments.file}: complete copy of {arguments.file.stat().st_size} bytes; it contains keys\n")
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    """Replace the database by a copy. The command locks the state directory, so that no gateway can run meanwhile."""
    settings = load_command_settings()
    check_user(settings.state_dir)
    try:
        arguments.file.open("rb").close()
    except OSError as error:
        raise StartupError(unreadable_message(arguments.file, error)) from None
    try:
        with lock_directory(settings.state_dir):
            previous = restore_database(arguments.file, settings.state_dir / DATABASE_FILE_NAME)
    except StateDirectoryInUse as error:
        raise StartupError(f"A gateway is running in {error}. Stop it first.") from None
    except OSError as error:
        raise StartupError(f"Cannot use STATE_DIR: {error}") from None
    except StorageUnavailable as error:
        raise StartupError(str(error)) from None
    print_database_path(settings.state_dir / DATABASE_FILE_NAME)
    sys.stderr.write(
        f"restored; {f'the previous database is now {previous}' if previous else 'there was no database'}\n"
    )
    return 0


def absolute_path(path: str) -> Path:
    """Convert a path that is relative to the shell's current directory to an absolute path.

    The argument parser does this before the command changes to the working directory of the service.
    """
    return Path(path).absolute()


def add_backup_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands `backup` and `restore`."""
    backup = subparsers.add_parser("backup", help="copy the database, also while the gateway runs; the copy has keys")
    backup.add_argument("file", type=absolute_path, metavar="FILE", help="file to create; it must not exist")
    backup.set_defaults(run=run_backup)
    restore = subparsers.add_parser("restore", help="replace the database by a copy, while no gateway runs")
    restore.add_argument("file", type=absolute_path, metavar="FILE", help="file that `backup` has created")
    restore.set_defaults(run=run_restore)
