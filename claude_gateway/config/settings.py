"""Every setting of the gateway: one frozen object, read once from the environment and `.env`.

The names are those of the environment in lower case. The README's table is generated from this class.
"""

from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from claude_gateway.config.kept import Kept
from claude_gateway.config.limits import RateLimits
from claude_gateway.config.log import Log
from claude_gateway.config.login import Login
from claude_gateway.config.mcp import McpServers
from claude_gateway.config.own_tools import OwnTools
from claude_gateway.config.requests import Requests
from claude_gateway.config.server import Server
from claude_gateway.config.work import Work
from claude_gateway.models.catalogue import first_model
from workers.settings import LaunchSettings, QueueSettings


# pydantic lists the fields of the last base first, and the README's table has that order.
class Settings(Log, Requests, RateLimits, Kept, McpServers, OwnTools, Work, Login, Server):
    """The groups as one."""

    def queue(self) -> QueueSettings:
        # Half of it: the head's clock begins a little before the job comes into the queue.
        return QueueSettings(
            limit=self.queue_limit, timeout=self.queue_timeout_seconds, refusable=self.stream_head_seconds / 2
        )

    def launch(self, cli_path: Path) -> LaunchSettings:
        return LaunchSettings(
            cli_path=cli_path,
            auth_method=self.auth_method,
            default_model=first_model(self.default_model, self.auth_method),
            credentials=self.credentials(),
            upstream_retries=self.upstream_retries,
        )


class FixedSettings(Settings):
    """Settings from its arguments alone: a demo or a test that nothing of the machine can change."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library calls by position
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)
