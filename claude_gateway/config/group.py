"""What every group of settings has in common."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _not_blank(value: SecretStr | None) -> SecretStr | None:
    return value if value is not None and value.get_secret_value().strip() else None


# `API_KEY=` in an environment file means none, never the empty key.
KeyOrNone = Annotated[SecretStr | None, AfterValidator(_not_blank)]


class Group(BaseSettings):
    """Settings that belong together: read from the environment and `.env`, never changed.

    Raises `pydantic.ValidationError` on a value that cannot be; a variable it does not know is ignored.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )
