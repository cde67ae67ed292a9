"""The settings of a command, and on stderr what a person should look at."""

import sys

from claude_gateway.config import Settings
from claude_gateway.config.reading import read_settings


def command_settings() -> Settings:
    """Raises `BadSettings`."""
    reading = read_settings()
    for warning in reading.warnings:
        sys.stderr.write(f"claude-gateway: {warning}\n")
    return reading.settings
