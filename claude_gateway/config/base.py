"""Base class of all groups of settings, and the sources from which the gateway reads settings."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

# Environment variable with the path of the directory in which systemd's LoadCredential puts the credential files.
CREDENTIALS_DIRECTORY_VARIABLE = "CREDENTIALS_DIRECTORY"
ENV_FILE = ".env"


def _blank_to_none(value: SecretStr | None) -> SecretStr | None:
    return value if value is not None and value.get_secret_value().strip() else None


# `API_KEY=` in an environment file means that there is no key, never that the key is empty.
OptionalSecret = Annotated[SecretStr | None, AfterValidator(_blank_to_none)]


class SettingsGroup(BaseSettings):
    """Immutable group of settings with values from the environment, `.env` and the credentials from systemd.

    A credential is a file that has the same name as the setting. The gateway ignores unknown variables.

    Raises:
        pydantic.ValidationError: If a value is invalid.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the credentials from systemd as the source with the lowest priority."""
        directory = os.environ.get(CREDENTIALS_DIRECTORY_VARIABLE)
        has_credentials = directory is not None and Path(directory).is_dir()
        credentials = (
            SecretsSettingsSource(settings_cls, secrets_dir=directory) if has_credentials else file_secret_settings
        )
        return init_settings, env_settings, dotenv_settings, credentials
