"""Programs of the system that some tests need: installed where that is possible, otherwise said and skipped.

With CI=true a skip is a failure: there, everything must have been tried.
"""

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

# Program: Debian's package of it.
SANDBOX = {"bwrap": "bubblewrap", "socat": "socat", "rg": "ripgrep", "prlimit": "util-linux", "curl": "curl"}


def need(programs: dict[str, str]) -> None:
    """Raises what skips the test, or fails it, where a program is missing and cannot be installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-q"], ["install", "-qy", *(programs[program] for program in missing)]):
            subprocess.run(["apt-get", *command], check=False, capture_output=True, timeout=300)
        missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        say_and_skip(f"not installed: {', '.join(missing)}")


def say_and_skip(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
