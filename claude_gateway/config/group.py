"""What every group of settings has in common."""

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

# Where systemd puts the files of LoadCredential.
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
ENV_FILE = ".env"


def _not_blank(value: SecretStr | None) -> SecretStr | None:
    return value if value is not None and value.get_secret_value().strip() else None


# `API_KEY=` in an environment file means none, never the empty key.
KeyOrNone = Annotated[SecretStr | None, AfterValidator(_not_blank)]


class Group(BaseSettings):
    """Settings that belong together: read from the environment, `.env`, and files of their names among the credentials
    that systemd hands over; never changed.

    Raises `pydantic.ValidationError` on a value that cannot be; a variable it does not know is ignored.
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
        given = os.environ.get(CREDENTIALS_DIRECTORY)
        handed_over = given is not None and Path(given).is_dir()
        credentials = SecretsSettingsSource(settings_cls, secrets_dir=given) if handed_over else file_secret_settings
        return init_settings, env_settings, dotenv_settings, credentials
