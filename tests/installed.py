"""Programs of the system that some tests need: the tests install them if possible, and are skipped otherwise.

With CI=true a skip is a failure, because every test must run there.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

# Program: the Debian package that contains it.
SANDBOX_PROGRAMS = {"bwrap": "bubblewrap", "socat": "socat", "rg": "ripgrep", "prlimit": "util-linux", "curl": "curl"}


def require_programs(programs: dict[str, str]) -> None:
    """Install missing programs; skip the test, or fail it with CI=true, if that is not possible."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        install_packages(programs[program] for program in missing)
        missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        skip_or_fail(f"not installed: {', '.join(missing)}")


def install_packages(packages: Iterable[str], *options: str) -> None:
    """Install Debian packages if this process may do so. Other test processes wait until it is done."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with _lock("apt-get"):
            for command in (["update", "-q"], ["install", "-qy", *options, *packages]):
                subprocess.run(["apt-get", *command], check=False, capture_output=True, timeout=300)


@contextmanager
def _lock(name: str) -> Iterator[None]:
    """Keep every other test process of this machine out of the same section."""
    with Path(tempfile.gettempdir(), f"claude-gateway-tests-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def skip_or_fail(reason: str) -> NoReturn:
    """End the test: as skipped, or as failed with CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
