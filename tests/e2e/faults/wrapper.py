"""The misbehaving CLI as a binary that a gateway can be given."""

import sys
from pathlib import Path

from claude_gateway.claude_code.bundled_cli import bundled_cli
from tests.e2e.faults import misbehaving_cli


def misbehaving(directory: Path) -> tuple[Path, Path]:
    """A program to start, and the directory in which its commands are claimed."""
    claims = directory / "claims"
    claims.mkdir()
    program = directory / "claude"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -I -S {misbehaving_cli.__file__} {claims} {bundled_cli()} "$@"\n'
    )
    program.chmod(0o700)
    return program, claims
