"""Compares settings when the gateway reloads them, and defines the settings that can change while it runs."""

from dataclasses import dataclass

from claude_gateway.config.loading import format_validation_errors
from claude_gateway.config.rate_limits import RateLimitSettings
from claude_gateway.config.settings import Settings

__all__ = ["RELOADABLE_SETTINGS", "SettingsReload", "format_validation_errors", "plan_reload"]

# Settings that the gateway reads anew for each request. A change of any other setting takes effect only at a restart.
RELOADABLE_SETTINGS = frozenset(RateLimitSettings.__annotations__) | {
    *(
        "api_key",
        "api_key_group",
        "default_model",
        "model_aliases",
        "list_model_aliases",
        "cors_origins",
        "messages_enable_tools",
        "max_choices",
    ),
    *(
        "fetch_remote_media",
        "stream_head_timeout_seconds",
        "heartbeat_interval_seconds",
        "drain_timeout_seconds",
        "debug_mode",
        "verbose",
    ),
}


@dataclass(frozen=True, slots=True)
class SettingsReload:
    """Result of loading the settings again while the gateway runs.

    Attributes:
        settings: Settings that apply from now on.
        changed: Environment variables of the settings that have changed and apply from now on.
        needs_restart: Environment variables of the settings that have changed but take effect only at a restart.
    """

    settings: Settings
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


def plan_reload(current: Settings, loaded: Settings) -> SettingsReload:
    """Return the settings after a reload, and the names of the changed settings.

    The values of the reloadable settings come from `loaded`, and all other values come from `current`.
    """
    differing = [name for name in Settings.model_fields if getattr(current, name) != getattr(loaded, name)]
    reloadable = [name for name in differing if name in RELOADABLE_SETTINGS]
    return SettingsReload(
        current.model_copy(update={name: getattr(loaded, name) for name in reloadable}),
        tuple(name.upper() for name in reloadable),
        tuple(name.upper() for name in differing if name not in RELOADABLE_SETTINGS),
    )
