"""Which settings can change while the gateway runs, and what a second reading of them comes to."""

from dataclasses import dataclass

from claude_gateway.config.limits import RateLimits
from claude_gateway.config.reading import complaints
from claude_gateway.config.settings import Settings

__all__ = ["LIVE", "Renewal", "complaints", "renewal"]

# Looked at anew by each request. All others decided how something was started.
LIVE = frozenset(RateLimits.__annotations__) | {
    *(
        "api_key",
        "default_model",
        "model_aliases",
        "list_model_aliases",
        "cors_origins",
        "messages_tools",
        "max_choices",
    ),
    *("fetch_remote_images", "stream_head_seconds", "heartbeat_seconds", "drain_seconds", "debug_mode", "verbose"),
}


@dataclass(frozen=True, slots=True)
class Renewal:
    """`settings` are in force from now on; names as they stand in the environment."""

    settings: Settings
    changed: tuple[str, ...]
    after_restart: tuple[str, ...]


def renewal(current: Settings, read: Settings) -> Renewal:
    differing = [name for name in Settings.model_fields if getattr(current, name) != getattr(read, name)]
    live = [name for name in differing if name in LIVE]
    return Renewal(
        current.model_copy(update={name: getattr(read, name) for name in live}),
        tuple(name.upper() for name in live),
        tuple(name.upper() for name in differing if name not in LIVE),
    )
