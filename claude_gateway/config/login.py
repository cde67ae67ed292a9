"""How Claude Code reaches its model."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from claude_gateway.config.group import Group, KeyOrNone
from workers.launch import CREDENTIAL_VARIABLES
from workers.settings import AuthMethod


class Login(Group):
    """The login of Claude Code, and its binary."""

    claude_auth_method: AuthMethod = Field(
        AuthMethod.CLI,
        description="How Claude Code reaches its model: `cli`, `api_key`, `bedrock` or `vertex`. Not needed where "
        "one of `ANTHROPIC_API_KEY`, `CLAUDE_CODE_USE_BEDROCK` and `CLAUDE_CODE_USE_VERTEX` alone is set.",
    )
    anthropic_api_key: KeyOrNone = Field(
        None, description="For `api_key`, which it chooses without `CLAUDE_AUTH_METHOD`: the Anthropic key."
    )
    anthropic_base_url: str | None = Field(
        None, description="Another address of the Anthropic API, given to the workers."
    )
    claude_config_dir: str | None = Field(None, description="For `cli`: where the login lives, if not `~/.claude`.")
    claude_code_oauth_token: KeyOrNone = Field(
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

    @property
    def auth_method(self) -> AuthMethod:
        """The login in use."""
        chosen = self._chosen()
        return next(iter(chosen.values())) if chosen else self.claude_auth_method

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        chosen = self._chosen()
        if len(chosen) > 1:
            raise ValueError(
                f"{' and '.join(chosen)} each choose a login of Claude Code. Unset all but one, or set "
                f"CLAUDE_AUTH_METHOD to {' or '.join(method.value for method in chosen.values())}."
            )
        return self

    def _chosen(self) -> dict[str, AuthMethod]:
        """What chooses a login. `CLAUDE_AUTH_METHOD` decides alone, but Claude Code's switches overrule a `cli`."""
        is_explicit = "claude_auth_method" in self.model_fields_set
        if is_explicit and self.claude_auth_method is not AuthMethod.CLI:
            return {"CLAUDE_AUTH_METHOD": self.claude_auth_method}
        chosen = {}
        if self.claude_code_use_bedrock:
            chosen["CLAUDE_CODE_USE_BEDROCK"] = AuthMethod.BEDROCK
        if self.claude_code_use_vertex:
            chosen["CLAUDE_CODE_USE_VERTEX"] = AuthMethod.VERTEX
        if is_explicit:
            return chosen or {"CLAUDE_AUTH_METHOD": AuthMethod.CLI}
        if self.anthropic_api_key is not None:
            chosen["ANTHROPIC_API_KEY"] = AuthMethod.API_KEY
            if self.claude_code_oauth_token is not None:
                chosen["CLAUDE_CODE_OAUTH_TOKEN"] = AuthMethod.CLI
        return chosen

    def credentials(self) -> dict[str, str]:
        """The variables that this login's allow-list names, wherever they were set."""
        credentials = {}
        for name in (*CREDENTIAL_VARIABLES[self.auth_method], "ANTHROPIC_BASE_URL"):
            value = getattr(self, name.lower(), None) or os.environ.get(name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value:
                credentials[name] = str(value)
        return credentials
