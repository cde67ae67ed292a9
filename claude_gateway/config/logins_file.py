"""Reads the file with the logins of the gateway, a TOML file that `LOGINS_FILE` names."""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from claude_gateway.auth.models import LOGIN_NAME_PATTERN
from workers.cli.command import CREDENTIAL_VARIABLES
from workers.core.settings import AuthMethod

_MAX_LOGINS = 16
_MAX_FILE_BYTES = 256 * 1024
_FILE_SUFFIX = "_FILE"
_ModelName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]


class LoginDefinition(BaseModel):
    """A login, as the file describes it.

    Attributes:
        name: The name of the login.
        method: The authentication method.
        models: The models that the login serves, as names or patterns with `*`; empty if it serves each model.
        model_names: The names of models at the provider of the login, by the name that the gateway uses.
        env: The variables that contain the login. A name with `_FILE` at its end names a file with the value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, StringConstraints(pattern=LOGIN_NAME_PATTERN)]
    method: AuthMethod
    models: tuple[_ModelName, ...] = ()
    model_names: dict[_ModelName, _ModelName] = {}
    env: dict[str, Annotated[str, StringConstraints(min_length=1)]] = Field(default={}, repr=False)


class _LoginsDocument(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    logins: Annotated[tuple[LoginDefinition, ...], Field(min_length=1, max_length=_MAX_LOGINS)]


def read_logins_file(path: Path) -> tuple[LoginDefinition, ...]:
    """Read the logins, in the order of preference. The variables of each login contain values, not paths of files.

    Raises:
        ValueError: The file is invalid or other users may read it. The text is one line without secrets.
    """
    try:
        document = tomllib.loads(_read_secret_file(path))
        definitions = _LoginsDocument.model_validate(document).logins
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"LOGINS_FILE: {path} is not valid TOML: {error}") from None
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"LOGINS_FILE: {'.'.join(map(str, details['loc']))}: {details['msg']}") from None
    names = [definition.name for definition in definitions]
    if duplicates := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"LOGINS_FILE: two logins have the name {duplicates[0]}")
    return tuple(
        definition.model_copy(update={"env": _resolve_variables(definition, path.parent)}) for definition in definitions
    )


def _resolve_variables(definition: LoginDefinition, directory: Path) -> Mapping[str, Any]:
    """Return the variables of a login, with the content of a file in place of its path.

    Raises:
        ValueError: The login must not have the variable, or the file cannot be read.
    """
    allowed = CREDENTIAL_VARIABLES[definition.method] | {"ANTHROPIC_BASE_URL"}
    values = {}
    for name, value in definition.env.items():
        if name in allowed:
            values[name] = value
        elif name.endswith(_FILE_SUFFIX) and name.removesuffix(_FILE_SUFFIX) in allowed:
            values[name.removesuffix(_FILE_SUFFIX)] = _read_secret_file(directory / value).strip()
        else:
            raise ValueError(
                f"LOGINS_FILE: the login {definition.name} uses {definition.method.value}, which has no variable "
                f"{name}; it has {', '.join(sorted(allowed))}"
            )
    return values


def _read_secret_file(path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"LOGINS_FILE: {path} is not a file")
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ValueError(f"LOGINS_FILE: other users may read or change {path}; run chmod 600 {path}")
            return file.read(_MAX_FILE_BYTES).decode()
    except OSError as error:
        raise ValueError(f"LOGINS_FILE: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"LOGINS_FILE: {path} is not UTF-8 text") from None
