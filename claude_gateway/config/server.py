"""Settings for the listener, the API key in the environment, the state directory and the names of models."""

import os
from pathlib import Path

from pydantic import Field, field_validator

from claude_gateway.auth.models import GROUP_NAME_PATTERN
from claude_gateway.config.base import OptionalSecret, SettingsGroup
from claude_gateway.model_catalog.aliases import ModelAlias, parse_aliases


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "claude-gateway"


class ServerSettings(SettingsGroup):
    """Address and port of the listener, API key in the environment, state directory and names of models."""

    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    claude_wrapper_host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104
    api_key: OptionalSecret = Field(
        None,
        description="An API key with every scope, in addition to the keys of `claude-gateway keys`. Without any key, "
        "the gateway accepts only direct connections from its own machine, and only for chat.",
    )
    api_key_group: str = Field(
        "",
        pattern=f"^$|{GROUP_NAME_PATTERN}",
        description="Group of the key in `API_KEY`; the keys of a group share processes (docs/operations/keys.md).",
    )
    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Directory in which the gateway stores its data; each gateway needs its own. "
        "Default: `claude-gateway` in `$XDG_STATE_HOME` or `~/.local/state`.",
    )
    default_model: str = Field(
        "sonnet",
        description="Model for requests that name a model of another provider; processes start with it. A model name, "
        "or `sonnet`, `opus`, `haiku` or `fable` for the current model of that family, as Claude Code reports it.",
    )
    list_model_aliases: bool = Field(
        False,
        description="List in `GET /v1/models` other accepted names too, as `?include=aliases` does, for programs that "
        "reject names outside the list.",
    )
    model_aliases: str = Field(
        "",
        description="Other names for models: `pattern=model`, separated by commas. `*` in a pattern matches anything; "
        "the model is a name or `default`, `opus`, `sonnet` or `haiku`. The first match applies. The built-in aliases "
        "follow (docs/concepts/models.md), unless the last entry is `none`.",
    )

    @field_validator("model_aliases", mode="after")
    @classmethod
    def _check_model_aliases(cls, value: str) -> str:
        parse_aliases(value)
        return value

    @property
    def parsed_model_aliases(self) -> tuple[ModelAlias, ...]:
        """Aliases parsed from `model_aliases`, followed by the built-in aliases unless the setting disables these."""
        return parse_aliases(self.model_aliases)
