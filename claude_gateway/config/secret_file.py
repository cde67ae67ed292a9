"""Reads files with secrets, and rejects a file that other users could read or change."""

import os
import stat
from pathlib import Path

from claude_gateway.config.base import CREDENTIALS_DIRECTORY_VARIABLE

_MAX_FILE_BYTES = 256 * 1024
# The directory of secrets in a container. The container runtime decides who may read them.
_SECRETS_DIRECTORY = "/run/secrets"


def read_secret_file(path: Path) -> str:
    """Return the text of a file that only root and the user of the gateway may read or change.

    Below `/run/secrets` and the directory of systemd's credentials, other users may read the file.

    Raises:
        ValueError: The file is unsafe or cannot be read. The text is one line without secrets.
    """
    try:
        path = path.expanduser()
        resolved = path.resolve(strict=True)
        # Without O_NONBLOCK, the gateway would wait without end for a writer of a named pipe.
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            _check_status(os.fstat(descriptor), path, is_managed=_is_managed(resolved))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(_MAX_FILE_BYTES + 1)
        finally:
            os.close(descriptor)
        if len(content) > _MAX_FILE_BYTES:
            raise ValueError(f"LOGINS_FILE: {path} is larger than {_MAX_FILE_BYTES // 1024} KiB")
        return content.decode()
    except OSError as error:
        raise ValueError(f"LOGINS_FILE: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"LOGINS_FILE: {path} is not UTF-8 text") from None
    except RuntimeError:  # `~` without a home directory, or a loop of symlinks
        raise ValueError(f"LOGINS_FILE: {path} leads to no file") from None


def _check_status(status: os.stat_result, path: Path, *, is_managed: bool) -> None:
    """Raise `ValueError` if the file is not a regular file, or if other users may read or change it."""
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"LOGINS_FILE: {path} is not a file")
    if not is_managed and status.st_uid not in (0, os.geteuid()):
        raise ValueError(f"LOGINS_FILE: {path} belongs to another user; run chown {os.geteuid()} {path}")
    forbidden = stat.S_IWGRP | stat.S_IWOTH
    if not is_managed:
        forbidden |= stat.S_IRGRP | stat.S_IROTH
    if status.st_mode & forbidden:
        raise ValueError(f"LOGINS_FILE: other users may read or change {path}; run chmod 600 {path}")


def _is_managed(resolved: Path) -> bool:
    directories = (Path(_SECRETS_DIRECTORY), Path(os.environ.get(CREDENTIALS_DIRECTORY_VARIABLE, "")))
    return any(resolved.is_relative_to(directory.resolve()) for directory in directories if directory.is_absolute())
