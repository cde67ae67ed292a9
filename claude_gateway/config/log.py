"""What is written to the log."""

from pydantic import Field

from claude_gateway.config.group import Group


class Log(Group):
    """How much is said."""

    debug_mode: bool = Field(False, description="Log at debug level.")
    verbose: bool = Field(False, description="Log every request.")
