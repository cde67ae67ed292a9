"""How Claude Code reaches its model."""

import os
from pathlib import Path

from pydantic import Field, SecretStr

from claude_gateway.config.group import Group, KeyOrNone
from workers.launch import CREDENTIAL_VARIABLES
from workers.settings import AuthMethod


class Login(Group):
    """The login of Claude Code, and its binary."""

    claude_auth_method: AuthMethod = Field(
        AuthMethod.CLI,
        description="How Claude Code reaches its model: `cli`, `api_key`, `bedrock` or `vertex`.",
    )
    anthropic_api_key: KeyOrNone = Field(None, description="For `api_key`: the Anthropic key.")
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

    @property
    def auth_method(self) -> AuthMethod:
        """The login in use; the switches of Claude Code's own environment count too."""
        if self.claude_auth_method is not AuthMethod.CLI:
            return self.claude_auth_method
        if self.claude_code_use_bedrock:
            return AuthMethod.BEDROCK
        return AuthMethod.VERTEX if self.claude_code_use_vertex else AuthMethod.CLI

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
