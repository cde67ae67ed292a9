"""Settings of the log."""

import logging
from typing import Literal

from pydantic import Field

from claude_gateway.config.base import SettingsGroup


class LogSettings(SettingsGroup):
    """Level and format of the log."""

    debug_mode: bool = Field(False, description="Log at debug level.")
    verbose: bool = Field(False, description="Log every request.")
    log_format: Literal["console", "json"] = Field(
        "console", description="Format of the log: `console` for people, or `json` for programs, one object per line."
    )

    @property
    def log_level(self) -> int:
        """Level for the `logging` module. The gateway logs only warnings, unless `VERBOSE` or `DEBUG_MODE` is set."""
        return logging.DEBUG if self.debug_mode else logging.INFO if self.verbose else logging.WARNING
