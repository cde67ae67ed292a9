"""Create a program that a gateway can start as its CLI and that misbehaves on command."""

import sys
from pathlib import Path

from claude_gateway.claude_code.binary import find_bundled_binary
from tests.e2e.faults import misbehaving_cli


def create_misbehaving_cli(directory: Path) -> tuple[Path, Path]:
    """Return the program, and the directory in which its commands are claimed."""
    claims = directory / "claims"
    claims.mkdir()
    program = directory / "claude"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -I -S {misbehaving_cli.__file__} {claims} {find_bundled_binary()} "$@"\n'
    )
    program.chmod(0o700)
    return program, claims
