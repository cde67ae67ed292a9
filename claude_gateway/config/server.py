"""Where the gateway listens, who may call, where it keeps its state, what its models are called."""

import os
from pathlib import Path

from pydantic import Field, field_validator

from claude_gateway.config.group import Group, KeyOrNone
from claude_gateway.models.aliases import Alias, read_aliases


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "claude-gateway"


class Server(Group):
    """Where the gateway listens, who may call, what its models are called."""

    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    claude_wrapper_host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104
    api_key: KeyOrNone = Field(
        None,
        description="A key with every scope, beside those of `claude-gateway keys`. Where there is none at all, only "
        "direct callers from this machine are served, and those may only chat.",
    )
    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Where the gateway keeps its state; one gateway a directory. "
        "Default: `claude-gateway` under `$XDG_STATE_HOME` or `~/.local/state`.",
    )
    default_model: str = Field(
        "sonnet",
        description="The model of requests that name another provider's, which the processes start with: a name, or "
        "`sonnet`, `opus`, `haiku` or `fable` for the current one, as Claude Code knows it.",
    )
    list_model_aliases: bool = Field(
        False,
        description="`GET /v1/models` lists other names that get an answer too, as `?include=aliases` does: for "
        "programs that refuse what is not listed.",
    )
    model_aliases: str = Field(
        "",
        description="Other names for models: `pattern=model`, with commas between; `*` stands for anything, the model "
        "may be a name or `default`, `opus`, `sonnet` or `haiku`. The first that fits counts; behind them comes the "
        "table above, unless the last entry is `none`.",
    )

    @field_validator("model_aliases", mode="after")
    @classmethod
    def _readable(cls, value: str) -> str:
        read_aliases(value)
        return value

    @property
    def aliases(self) -> tuple[Alias, ...]:
        return read_aliases(self.model_aliases)
