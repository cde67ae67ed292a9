"""All settings of the gateway in one frozen object, read from the environment, `.env` and credentials.

The attributes are named like the environment variables, in lower case. A generator writes the table in
docs/configuration.md from this class.
"""

from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from claude_gateway.config.builtin_tools import BuiltinToolSettings
from claude_gateway.config.claude_login import ClaudeLoginSettings
from claude_gateway.config.logging import LogSettings
from claude_gateway.config.mcp import McpSettings
from claude_gateway.config.rate_limits import RateLimitSettings
from claude_gateway.config.requests import RequestSettings
from claude_gateway.config.retention import RetentionSettings
from claude_gateway.config.server import ServerSettings
from claude_gateway.config.workers import WorkerSettings
from claude_gateway.model_catalog.catalog import initial_model
from workers.core.settings import LaunchSettings, QueueSettings


# pydantic lists the fields of the last base first, and the generated table has that order.
class Settings(
    LogSettings,
    RequestSettings,
    RateLimitSettings,
    RetentionSettings,
    McpSettings,
    BuiltinToolSettings,
    WorkerSettings,
    ClaudeLoginSettings,
    ServerSettings,
):
    """All settings of the gateway."""

    def queue_settings(self) -> QueueSettings:
        """Return the engine's settings for the queue of jobs."""
        # `evictable_seconds` is half of `stream_head_timeout_seconds`, because that timeout starts a little before the
        # job enters the queue.
        return QueueSettings(
            max_waiting_jobs=self.max_queued_jobs,
            timeout_seconds=self.queue_timeout_seconds,
            evictable_seconds=self.stream_head_timeout_seconds / 2,
        )

    def launch_settings(self, cli_path: Path) -> tuple[LaunchSettings, ...]:
        """Return the engine's settings for starting the CLI at `cli_path` with each login."""
        settings = []
        for login, credentials in zip(self.logins, self.list_credentials(), strict=True):
            default_model = initial_model(self.default_model, login.method)
            settings.append(
                LaunchSettings(
                    cli_path=cli_path,
                    auth_method=login.method,
                    default_model=login.model_names.get(default_model, default_model),
                    credentials=credentials,
                    max_upstream_retries=self.max_upstream_retries,
                    name=login.name,
                    models=login.models,
                    model_names=login.model_names,
                )
            )
        return tuple(settings)


class FixedSettings(Settings):
    """Settings that take values only from the constructor's arguments.

    Demos and tests use this class, because they must not depend on the environment.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library calls by position
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the arguments as the only source."""
        return (init_settings,)
