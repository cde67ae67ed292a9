"""What is written to the log."""

import logging
from typing import Literal

from pydantic import Field

from claude_gateway.config.group import Group


class Log(Group):
    """How much is said."""

    debug_mode: bool = Field(False, description="Log at debug level.")
    verbose: bool = Field(False, description="Log every request.")
    log_format: Literal["console", "json"] = Field(
        "console", description="Lines of the log: `console` for people, `json` for programs, one object a line."
    )

    @property
    def log_level(self) -> int:
        return logging.DEBUG if self.debug_mode else logging.INFO if self.verbose else logging.WARNING
