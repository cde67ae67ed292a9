"""Every setting of the gateway: one frozen object, read once from the environment and `.env`.

The names are those of the environment in lower case. The README's table is generated from this class.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from claude_gateway.aliases import Alias, read_aliases
from claude_gateway.session import SessionLimits
from claude_gateway.stores.responses import Room
from workers.launch import CREDENTIAL_VARIABLES
from workers.settings import AgentSettings, AuthMethod, LaunchSettings, PoolSettings, QueueSettings


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "claude-gateway"


class Settings(BaseSettings):
    """Raises `pydantic.ValidationError` on a value that cannot be; a variable it does not know is ignored."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    claude_wrapper_host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104
    api_key: SecretStr | None = Field(
        None,
        description="The key callers must send. Without one only direct callers from this machine are served.",
    )
    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Where the gateway keeps its state; one gateway a directory. "
        "Default: `claude-gateway` under `$XDG_STATE_HOME` or `~/.local/state`.",
    )
    default_model: str = Field("claude-sonnet-4-5-20250929", description="The model workers start with.")
    model_aliases: str = Field(
        "",
        description="Other names for models: `pattern=model`, with commas between; `*` stands for anything, the model "
        "may be a name or `default`, `opus`, `sonnet` or `haiku`. The first that fits counts; behind them comes the "
        "table above, unless the last entry is `none`.",
    )

    claude_auth_method: AuthMethod = Field(
        AuthMethod.CLI,
        description="How Claude Code reaches its model: `cli`, `api_key`, `bedrock` or `vertex`.",
    )
    anthropic_api_key: SecretStr | None = Field(None, description="For `api_key`: the Anthropic key.")
    anthropic_base_url: str | None = Field(
        None, description="Another address of the Anthropic API, given to the workers."
    )
    claude_config_dir: str | None = Field(None, description="For `cli`: where the login lives, if not `~/.claude`.")
    claude_code_oauth_token: SecretStr | None = Field(
        None, description="For `cli`: a long-lived token from `claude setup-token`."
    )
    claude_code_use_bedrock: bool = Field(False, description="The same as `CLAUDE_AUTH_METHOD=bedrock`.")
    claude_code_use_vertex: bool = Field(False, description="The same as `CLAUDE_AUTH_METHOD=vertex`.")
    aws_access_key_id: SecretStr | None = Field(None, description="For `bedrock`.")
    aws_secret_access_key: SecretStr | None = Field(None, description="For `bedrock`.")
    aws_session_token: SecretStr | None = Field(None, description="For `bedrock`.")
    aws_profile: str | None = Field(None, description="For `bedrock`: a profile of `~/.aws`.")
    aws_bearer_token_bedrock: SecretStr | None = Field(None, description="For `bedrock`: an API key of it.")
    aws_region: str | None = Field(None, description="For `bedrock`.")
    anthropic_vertex_project_id: str | None = Field(None, description="For `vertex`.")
    cloud_ml_region: str | None = Field(None, description="For `vertex`.")
    google_application_credentials: str | None = Field(None, description="For `vertex`: the credentials file.")
    claude_cli_path: Path | None = Field(
        None, description="The `claude` binary. Default: the one inside the claude-agent-sdk wheel."
    )
    claude_cwd: Path | None = Field(
        None, description="Under which directory each worker gets its own. Default: inside `STATE_DIR`."
    )

    chat_workers: int = Field(2, ge=1, le=64, description="Chats answered at the same time; one process each.")
    chat_spare_workers: int = Field(
        1,
        ge=0,
        le=16,
        description="Booted processes kept beyond `CHAT_WORKERS`, so that nobody waits for a boot.",
    )
    agent_workers: int = Field(
        2, ge=1, le=64, description="Jobs with Claude's own tools worked on at the same time, and sessions kept warm."
    )
    agent_spare_workers: int = Field(
        1, ge=0, le=16, description="Booted processes kept for such jobs, from the first one on."
    )
    agent_uid: int = Field(
        61_999, ge=1, lt=2**31, description="Where the gateway runs as root: the user id that such jobs run as."
    )
    agent_memory_mib: int = Field(
        2_048, ge=512, description="The most memory of one such job, everything it started included; more ends it."
    )
    session_disk_mb: int = Field(
        512,
        ge=1,
        le=2**20,
        description="What a session's directory may hold, in megabytes; more ends the job with 413.",
    )
    allow_unsandboxed_tools: bool = Field(
        False,
        description="Run Claude's commands also where there is no sandbox. They can then do all that this user can.",
    )
    messages_tools: Literal["off", "on"] = Field(
        "off",
        description="`on`: a request to `/v1/messages` without `tools` gets Claude's own, "
        "as one with `enable_tools` does.",
    )
    worker_max_jobs: int = Field(500, ge=1, description="Jobs after which a process is replaced.")
    worker_max_age_seconds: float = Field(6 * 3600, gt=0, description="Age at which a process is replaced.")
    worker_max_rss_mib: int = Field(700, ge=200, description="Memory at which a process is replaced.")
    upstream_retries: int = Field(
        1, ge=0, le=10, description="How often Claude Code asks the upstream again by itself."
    )

    queue_limit: int = Field(100, ge=0, description="Requests that may wait for a worker; more get 429.")
    queue_timeout_seconds: float = Field(60, gt=0, description="The longest wait for a worker; then 429.")
    max_timeout: int = Field(600_000, gt=0, description="The longest a request may take, in milliseconds; then 504.")
    max_request_size: int = Field(
        10 * 1024 * 1024, gt=0, description="The largest request body, in bytes; more gets 413."
    )
    session_ttl_seconds: float = Field(
        3600,
        gt=0,
        le=10 * 365 * 86_400,
        validation_alias=AliasChoices("session_ttl_seconds", "session_ttl"),
        description="How long after its last use a session is remembered; `SESSION_TTL` is the same.",
    )
    session_limit: int = Field(1_000, ge=1, description="Sessions that one key may have; one more gets 429.")
    session_max_mib: float = Field(
        32, gt=0, le=1_024, description="The most that one session may remember; more gets 413."
    )
    sessions_max_mib: float = Field(
        1_024, gt=0, le=2**20, description="The most that all sessions of a key may remember together; more gets 429."
    )
    response_ttl_seconds: float = Field(
        30 * 24 * 3600, gt=0, description="How long a response of `/v1/responses` is stored."
    )
    response_limit: int = Field(
        10_000, ge=1, description="Stored responses that one key may have; the oldest goes for one more."
    )
    responses_max_mib: float = Field(
        1_024, gt=0, description="The most that all stored responses of a key may hold; the oldest go for more."
    )
    background_limit: int = Field(
        10, ge=0, description="Responses that one key may have in the background at once; one more gets 429."
    )
    fetch_remote_images: bool = Field(
        False,
        description="Fetch images and PDFs that callers name by an `https:` URL, from public addresses alone; "
        "together they count against `MAX_REQUEST_SIZE`.",
    )
    max_choices: int = Field(
        8, ge=1, le=64, description="The most answers to one chat request (`n`), each a job of its own; more get 400."
    )
    stream_head_seconds: float = Field(
        2.0,
        ge=0,
        description="How long a stream waits for the upstream before it commits to status 200; "
        "an error until then has its own status, later it comes inside the stream.",
    )
    heartbeat_seconds: float = Field(
        10.0, gt=0, description="How often a stream is kept alive, by a comment or what its dialect takes."
    )
    max_connections: int = Field(2_000, ge=1, description="Open connections; one more is closed at once.")
    drain_seconds: float = Field(30.0, ge=0, description="How long running answers may go on after SIGTERM.")

    debug_mode: bool = Field(False, description="Log at debug level.")
    verbose: bool = Field(False, description="Log every request.")

    @field_validator("api_key", "anthropic_api_key", mode="after")
    @classmethod
    def _not_blank(cls, value: SecretStr | None) -> SecretStr | None:
        """`API_KEY=` in an environment file means none, never the empty key."""
        return value if value is not None and value.get_secret_value().strip() else None

    @field_validator("model_aliases", mode="after")
    @classmethod
    def _readable(cls, value: str) -> str:
        read_aliases(value)
        return value

    @property
    def aliases(self) -> tuple[Alias, ...]:
        return read_aliases(self.model_aliases)

    @property
    def auth_method(self) -> AuthMethod:
        """The login in use; the switches of Claude Code's own environment count too."""
        if self.claude_auth_method is not AuthMethod.CLI:
            return self.claude_auth_method
        if self.claude_code_use_bedrock:
            return AuthMethod.BEDROCK
        return AuthMethod.VERTEX if self.claude_code_use_vertex else AuthMethod.CLI

    def launch(self, cli_path: Path) -> LaunchSettings:
        return LaunchSettings(
            cli_path=cli_path,
            auth_method=self.auth_method,
            default_model=self.default_model,
            credentials=self._credentials(),
            upstream_retries=self.upstream_retries,
        )

    def pool(self) -> PoolSettings:
        return PoolSettings(
            workers=self.chat_workers,
            spares=self.chat_spare_workers,
            max_jobs=self.worker_max_jobs,
            max_age=self.worker_max_age_seconds,
            max_rss_mib=self.worker_max_rss_mib,
        )

    def agents(self, usual_tools: tuple[str, ...]) -> AgentSettings:
        return AgentSettings(
            workers=self.agent_workers,
            spares=self.agent_spare_workers,
            user=self.agent_uid,
            usual_tools=usual_tools,
            disk_bytes=self.session_disk_mb * 2**20,
            memory_mib=self.agent_memory_mib,
            unsandboxed=self.allow_unsandboxed_tools,
        )

    def queue(self) -> QueueSettings:
        return QueueSettings(limit=self.queue_limit, timeout=self.queue_timeout_seconds)

    def sessions(self) -> SessionLimits:
        return SessionLimits(
            ttl=self.session_ttl_seconds,
            per_key=self.session_limit,
            bytes_each=int(self.session_max_mib * 2**20),
            bytes_per_key=int(self.sessions_max_mib * 2**20),
        )

    def responses(self) -> Room:
        return Room(
            ttl=self.response_ttl_seconds,
            responses=self.response_limit,
            bytes=int(self.responses_max_mib * 2**20),
        )

    def _credentials(self) -> dict[str, str]:
        """The variables that this login's allow-list names, wherever they were set."""
        credentials = {}
        for name in (*CREDENTIAL_VARIABLES[self.auth_method], "ANTHROPIC_BASE_URL"):
            value = getattr(self, name.lower(), None) or os.environ.get(name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value:
                credentials[name] = str(value)
        return credentials


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
