"""Reads the file with the logins of the gateway, a TOML file that `LOGINS_FILE` names."""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, ValidationError

from claude_gateway.auth.models import LOGIN_NAME_PATTERN
from claude_gateway.config.secret_file import read_secret_file
from workers.cli.command import CREDENTIAL_VARIABLES
from workers.core.settings import AuthMethod

_MAX_LOGINS = 16
_FILE_SUFFIX = "_FILE"
# The variables whose value is a path. Processes start in other directories than the gateway, so it must be absolute.
_PATH_VARIABLES = frozenset(
    {"CLAUDE_CONFIG_DIR", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS"}
)
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

    _secret_files: tuple[Path, ...] = PrivateAttr(())

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files from which the gateway has read variables of the login."""
        return self._secret_files


class _LoginsDocument(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    logins: Annotated[tuple[LoginDefinition, ...], Field(min_length=1, max_length=_MAX_LOGINS)]


def read_logins_file(path: Path) -> tuple[LoginDefinition, ...]:
    """Read the logins, in the order of preference. The variables of each login contain values, not paths of files.

    Raises:
        ValueError: The file is invalid or other users may read it. The text is one line without secrets.
    """
    text = read_secret_file(path)
    try:
        definitions = _LoginsDocument.model_validate(tomllib.loads(text)).logins
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"LOGINS_FILE: {path} is not valid TOML: {error}") from None
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"LOGINS_FILE: {'.'.join(map(str, details['loc']))}: {details['msg']}") from None
    names = [definition.name for definition in definitions]
    if duplicates := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"LOGINS_FILE: two logins have the name {duplicates[0]}")
    logins = tuple(_resolve(definition, path.expanduser().parent) for definition in definitions)
    _check_directories(logins)
    return logins


def _resolve(definition: LoginDefinition, directory: Path) -> LoginDefinition:
    """Return the login with the content of files in place of their paths, and with complete paths of directories.

    Raises:
        ValueError: The login must not have a variable or lacks one, or a file cannot be read.
    """
    files = {
        name.removesuffix(_FILE_SUFFIX): directory / _expand_home(definition, name, value)
        for name, value in definition.env.items()
        if _names_file(definition, name)
    }
    values = dict(_read_variables(definition, files))
    if definition.method is AuthMethod.API_KEY and "ANTHROPIC_API_KEY" not in values:
        raise ValueError(
            f"LOGINS_FILE: the login {definition.name} uses api_key, which needs ANTHROPIC_API_KEY "
            "or ANTHROPIC_API_KEY_FILE"
        )
    login = definition.model_copy(update={"env": values})
    login._secret_files = tuple(files.values())
    return login


def _read_variables(definition: LoginDefinition, files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    allowed = _list_allowed(definition.method)
    for name, value in definition.env.items():
        if _names_file(definition, name):
            continue
        if name not in allowed:
            raise ValueError(
                f"LOGINS_FILE: the login {definition.name} uses {definition.method.value}, which has no variable "
                f"{name}; it has {', '.join(sorted(allowed))}"
            )
        if name in files:
            raise ValueError(f"LOGINS_FILE: the login {definition.name} has both {name} and {name}{_FILE_SUFFIX}")
        yield name, _resolve_path(definition, name, value) if name in _PATH_VARIABLES else value
    for name, path in files.items():
        if not (value := read_secret_file(path).strip()):
            raise ValueError(f"LOGINS_FILE: {path} is empty; the login {definition.name} reads {name} from it")
        yield name, _resolve_path(definition, name, value) if name in _PATH_VARIABLES else value


def _list_allowed(method: AuthMethod) -> frozenset[str]:
    return CREDENTIAL_VARIABLES[method] | {"ANTHROPIC_BASE_URL"}


def _names_file(definition: LoginDefinition, name: str) -> bool:
    """Return whether a variable contains the path of a file with the value of another variable."""
    allowed = _list_allowed(definition.method)
    return name not in allowed and name.endswith(_FILE_SUFFIX) and name.removesuffix(_FILE_SUFFIX) in allowed


def _resolve_path(definition: LoginDefinition, name: str, value: str) -> str:
    path = _expand_home(definition, name, value)
    if not path.is_absolute():
        raise ValueError(f"LOGINS_FILE: {name} of the login {definition.name} must be an absolute path")
    return str(path)


def _expand_home(definition: LoginDefinition, name: str, value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"LOGINS_FILE: {name} of the login {definition.name} names an unknown user") from None


def _check_directories(logins: Sequence[LoginDefinition]) -> None:
    """Check that no two logins are the same account.

    Raises:
        ValueError: Two logins have the same CLAUDE_CONFIG_DIR, or have neither a directory nor a token of their own.
    """
    names: dict[str, str] = {}
    for login in logins:
        directory = login.env.get("CLAUDE_CONFIG_DIR", "")
        if login.method is not AuthMethod.CLI or (not directory and "CLAUDE_CODE_OAUTH_TOKEN" in login.env):
            continue
        other = names.setdefault(os.path.realpath(directory) if directory else "", login.name)
        if other != login.name:
            raise ValueError(
                f"LOGINS_FILE: the logins {other} and {login.name} have the same CLAUDE_CONFIG_DIR, "
                "so they are one account"
            )
