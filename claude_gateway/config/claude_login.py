"""Settings for the login with which Claude Code uses the upstream, and for the binary of Claude Code."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator

from claude_gateway.config.base import OptionalSecret, SettingsGroup
from claude_gateway.config.logins_file import LoginDefinition, read_logins_file
from workers.cli.command import CREDENTIAL_VARIABLES
from workers.core.settings import DEFAULT_LOGIN, AuthMethod

# The settings of a single login, which must not be set together with `LOGINS_FILE`.
_REPLACED_SETTINGS = (
    "claude_auth_method",
    "anthropic_api_key",
    "claude_code_oauth_token",
    "claude_config_dir",
    "claude_code_use_bedrock",
    "claude_code_use_vertex",
)


class ClaudeLoginSettings(SettingsGroup):
    """The login of Claude Code, and its binary."""

    claude_auth_method: AuthMethod = Field(
        AuthMethod.CLI,
        description="Login of Claude Code: `cli`, `api_key`, `bedrock` or `vertex`. Not needed if exactly one of "
        "`ANTHROPIC_API_KEY`, `CLAUDE_CODE_USE_BEDROCK` and `CLAUDE_CODE_USE_VERTEX` is set.",
    )
    anthropic_api_key: OptionalSecret = Field(
        None, description="For `api_key`: the Anthropic API key. Selects `api_key` if `CLAUDE_AUTH_METHOD` is not set."
    )
    anthropic_base_url: str | None = Field(
        None, description="URL of the Anthropic API that the workers use, if it is not the public one."
    )
    claude_config_dir: str | None = Field(None, description="For `cli`: directory of the login. Default: `~/.claude`.")
    claude_code_oauth_token: OptionalSecret = Field(
        None, description="For `cli`: a long-lived token from `claude setup-token`."
    )
    claude_code_use_bedrock: bool = Field(False, description="The same as `CLAUDE_AUTH_METHOD=bedrock`.")
    claude_code_use_vertex: bool = Field(False, description="The same as `CLAUDE_AUTH_METHOD=vertex`.")
    aws_access_key_id: SecretStr | None = Field(None, description="For `bedrock`.")
    aws_secret_access_key: SecretStr | None = Field(None, description="For `bedrock`.")
    aws_session_token: SecretStr | None = Field(None, description="For `bedrock`.")
    aws_profile: str | None = Field(None, description="For `bedrock`: a profile of `~/.aws`.")
    aws_bearer_token_bedrock: SecretStr | None = Field(None, description="For `bedrock`: a Bedrock API key.")
    aws_region: str | None = Field(None, description="For `bedrock`.")
    anthropic_vertex_project_id: str | None = Field(None, description="For `vertex`.")
    cloud_ml_region: str | None = Field(None, description="For `vertex`.")
    google_application_credentials: str | None = Field(None, description="For `vertex`: the credentials file.")
    logins_file: Path | None = Field(
        None,
        description="TOML file with several logins in the order of preference, which only this user may read. It "
        "replaces the other settings of the login.",
    )
    login_fallback: bool = Field(
        False,
        description="Run requests with the next login of `LOGINS_FILE` while the first has reached its limit or is "
        "rejected. This may cost money.",
    )
    claude_cli_path: Path | None = Field(
        None, description="Path of the `claude` binary. Default: the one inside the claude-agent-sdk wheel."
    )
    claude_cwd: Path | None = Field(
        None, description="Directory in which each worker gets its own subdirectory. Default: inside `STATE_DIR`."
    )

    _logins: tuple[LoginDefinition, ...] = PrivateAttr(())

    @property
    def logins(self) -> tuple[LoginDefinition, ...]:
        """The logins, in the order of preference. Without `LOGINS_FILE`, it is the login of the other settings."""
        return self._logins or (
            LoginDefinition(name=DEFAULT_LOGIN, method=self.auth_method, env=self._read_credentials()),
        )

    @property
    def auth_method(self) -> AuthMethod:
        """Method of the first login, either of `LOGINS_FILE` or the one that the other settings select."""
        if self._logins:
            return self._logins[0].method
        selected = self._selected_methods()
        return next(iter(selected.values())) if selected else self.claude_auth_method

    @model_validator(mode="after")
    def _read_logins_file(self) -> Self:
        if self.logins_file is None:
            return self
        if replaced := [name for name in _REPLACED_SETTINGS if getattr(self, name) and name in self.model_fields_set]:
            raise ValueError(f"LOGINS_FILE replaces {replaced[0].upper()}; unset it")
        self._logins = read_logins_file(self.logins_file)
        return self

    @model_validator(mode="after")
    def _check_single_login(self) -> Self:
        selected = self._selected_methods()
        if len(selected) > 1:
            raise ValueError(
                f"{' and '.join(selected)} each select a login of Claude Code. Unset all but one, or set "
                f"CLAUDE_AUTH_METHOD to {' or '.join(method.value for method in selected.values())}."
            )
        return self

    def _selected_methods(self) -> dict[str, AuthMethod]:
        """Return the settings that select a login, each with the login that it selects.

        If `CLAUDE_AUTH_METHOD` is set, it alone decides. The exception is its value `cli`, which
        `CLAUDE_CODE_USE_BEDROCK` and `CLAUDE_CODE_USE_VERTEX` override.
        """
        is_explicit = "claude_auth_method" in self.model_fields_set
        if is_explicit and self.claude_auth_method is not AuthMethod.CLI:
            return {"CLAUDE_AUTH_METHOD": self.claude_auth_method}
        selected = {}
        if self.claude_code_use_bedrock:
            selected["CLAUDE_CODE_USE_BEDROCK"] = AuthMethod.BEDROCK
        if self.claude_code_use_vertex:
            selected["CLAUDE_CODE_USE_VERTEX"] = AuthMethod.VERTEX
        if is_explicit:
            return selected or {"CLAUDE_AUTH_METHOD": AuthMethod.CLI}
        if self.anthropic_api_key is not None:
            selected["ANTHROPIC_API_KEY"] = AuthMethod.API_KEY
            if self.claude_code_oauth_token is not None:
                selected["CLAUDE_CODE_OAUTH_TOKEN"] = AuthMethod.CLI
        return selected

    def credentials(self) -> dict[str, str]:
        """Return the environment variables with the credentials of the first login."""
        return self.list_credentials()[0]

    def list_credentials(self) -> list[dict[str, str]]:
        """Return the environment variables with the credentials of each login.

        If a login has no `ANTHROPIC_BASE_URL` of its own, it has the one of the settings.
        """
        base_url = {"ANTHROPIC_BASE_URL": self.anthropic_base_url} if self.anthropic_base_url else {}
        return [{**base_url, **login.env} for login in self.logins]

    @property
    def secret_directories(self) -> tuple[Path, ...]:
        """The directories of `LOGINS_FILE` and of the files that it names."""
        if self.logins_file is None:
            return ()
        files = [self.logins_file.expanduser(), *(path for login in self.logins for path in login.secret_files)]
        return tuple(dict.fromkeys(parent for path in files for parent in (path.parent, path.resolve().parent)))

    def _read_credentials(self) -> dict[str, str]:
        """Return the environment variables with the credentials, without `LOGINS_FILE`.

        The login determines the names of the variables. The values come from the settings or the environment.
        """
        credentials = {}
        for name in (*CREDENTIAL_VARIABLES[self.auth_method], "ANTHROPIC_BASE_URL"):
            value = getattr(self, name.lower(), None) or os.environ.get(name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value:
                credentials[name] = str(value)
        return credentials
