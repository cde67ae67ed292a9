"""Loads the settings for all commands, and describes each problem with the settings in one line of text.

Problems are unreadable files, lines of `.env` that are not settings, and invalid values.
"""

import io
import ipaddress
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from pydantic import ValidationError

from claude_gateway.config.base import CREDENTIALS_DIRECTORY_VARIABLE, ENV_FILE
from claude_gateway.config.settings import Settings
from claude_gateway.config.similar_names import find_misspelled_setting, find_misspelled_variable, find_similar_setting

MIN_API_KEY_CHARS = 12
_KEY_COMMAND_HINT = "openssl rand -hex 32 generates one"


class InvalidSettings(ValueError):
    """Raised if settings are invalid.

    Attributes:
        problems: One sentence for each problem. It names the setting, line or file, and never contains a value.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings with warnings about problems that do not prevent the start."""

    settings: Settings
    warnings: tuple[str, ...]


def load_settings() -> LoadedSettings:
    """Load the settings from the environment, from `.env` in the current directory, and from credentials.

    Raises:
        InvalidSettings: If a file, line or value is invalid.
    """
    lines = _parse_env_lines(_read_text_file(Path(ENV_FILE)))
    credentials = _read_credentials()
    if problems := [*_find_malformed_lines(lines), *_find_misspelled_lines(lines)]:
        raise InvalidSettings(problems)
    try:
        settings = Settings()
    except ValidationError as error:
        raise InvalidSettings(format_validation_errors(error)) from None
    except RuntimeError as error:  # raised by `Path.home()`
        raise InvalidSettings([f"{error} Set STATE_DIR or HOME."]) from None
    return LoadedSettings(settings, (*_find_unknown_lines(lines), *_find_misspelled_variables(credentials)))


def load_serve_settings() -> LoadedSettings:
    """Load the settings for a gateway that is about to start, and also check `API_KEY`.

    Raises:
        InvalidSettings: If a file, line, value or the key is invalid.
    """
    loaded = load_settings()
    if problem := find_api_key_problem(loaded.settings):
        raise InvalidSettings([problem])
    return loaded


def find_api_key_problem(settings: Settings) -> str:
    """Return the problem with `API_KEY` if other machines can connect to the gateway; "" if there is no problem."""
    host = settings.claude_wrapper_host
    if _is_loopback_host(host) and not settings.trusted_proxies:
        return ""
    exposure = f"the gateway listens on {host}" if not _is_loopback_host(host) else "the gateway is behind a proxy"
    if settings.api_key is None:
        if _is_set_anywhere("API_KEY"):
            return f"API_KEY is set but empty, and {exposure}. Give it a value ({_KEY_COMMAND_HINT}) or remove it."
    elif len(settings.api_key.get_secret_value().strip()) < MIN_API_KEY_CHARS:
        return (
            f"API_KEY is too short to be secure, and {exposure}. Give it at least {MIN_API_KEY_CHARS} characters "
            f"({_KEY_COMMAND_HINT})."
        )
    return ""


def format_validation_errors(error: ValidationError) -> Iterator[str]:
    """Yield one message for each error, with the environment variable of the setting but without its value."""
    for details in error.errors(include_input=False, include_url=False):
        if details["loc"]:
            yield f"setting {'_'.join(map(str, details['loc'])).upper()}: {details['msg']}"
        else:
            yield details["msg"].removeprefix("Value error, ")


def known_setting_names() -> frozenset[str]:
    """Return the names of all environment variables that are settings of the gateway."""
    names = set()
    for name, field in Settings.model_fields.items():
        names.add(name.upper())
        names.update(str(choice).upper() for choice in getattr(field.validation_alias, "choices", ()))
    return frozenset(names)


def _read_text_file(relative_path: Path) -> str:
    """Return the text of a file, or "" if there is no file. Raise `InvalidSettings` if the file is unreadable."""
    path = relative_path.absolute()
    try:
        if path.is_dir():
            raise InvalidSettings([f"{path} is a directory. Replace it with a file of settings, or remove it."])
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise InvalidSettings([unreadable_message(path, error)]) from None
    except UnicodeDecodeError as error:
        raise InvalidSettings([f"{path} is not UTF-8 text; see byte {error.start + 1}."]) from None


def unreadable_message(path: Path | str, error: OSError) -> str:
    """Return a sentence which says that the current user cannot read a file."""
    return f"Cannot read {path} as the user {_current_user_name()}: {error.strerror or error}."


def _current_user_name() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"with the id {uid}"


def _is_loopback_host(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parse_env_lines(text: str) -> list[Binding]:
    """Parse the text of an `.env` file, and return its lines without blank lines and comments."""
    return [line for line in parse_stream(io.StringIO(text)) if line.error or line.key is not None]


def _find_malformed_lines(lines: Iterable[Binding]) -> Iterator[str]:
    for line in lines:
        if line.error or line.value is None:
            yield f"{_format_location(line)} is not a setting: write NAME=value, or put # before it."


def _find_misspelled_lines(lines: Iterable[Binding]) -> Iterator[str]:
    for line, name in _select_unknown_lines(lines):
        if setting := find_misspelled_setting(name, known_setting_names()):
            yield f"{_format_location(line)}: {name} is not a setting; {setting} is. Correct it, or put # before it."


def _find_unknown_lines(lines: Iterable[Binding]) -> Iterator[str]:
    for line, name in _select_unknown_lines(lines):
        setting = find_similar_setting(name, known_setting_names())
        question = f" Did you mean {setting}?" if setting else ""
        yield f"{_format_location(line)}: {name} is not a setting of the gateway and has no effect.{question}"


def _select_unknown_lines(lines: Iterable[Binding]) -> Iterator[tuple[Binding, str]]:
    names = known_setting_names()
    for line in lines:
        if line.key is not None and line.key.upper() not in names:
            yield line, line.key


def _format_location(line: Binding) -> str:
    return f"{Path(ENV_FILE).absolute()} line {line.original.line + _count_leading_blank_lines(line)}"


def _count_leading_blank_lines(line: Binding) -> int:
    """Count the blank lines at the beginning of a parsed line.

    The parser adds blank lines to the setting that follows them.
    """
    blank = line.original.string[: len(line.original.string) - len(line.original.string.lstrip())]
    return blank.count("\n")


def _find_misspelled_variables(credentials: Mapping[str, str]) -> Iterator[str]:
    names = known_setting_names()
    for name in sorted(os.environ):
        if name not in names and (setting := find_misspelled_variable(name, names)):
            yield f"the environment variable {name} is not a setting; {setting} is."
    for name in sorted(credentials):
        if name.upper() not in names and (setting := find_misspelled_setting(name, names)):
            yield f"the credential {name} is not a setting; {setting.lower()} is."


def _read_credentials() -> dict[str, str]:
    """Return the credentials that systemd or a container provides, by file name.

    The function reads only files that are named after a setting, and raises `InvalidSettings` if it cannot read one of
    them. For all other files, the returned text is "".
    """
    directory = os.environ.get(CREDENTIALS_DIRECTORY_VARIABLE)
    if not directory:
        return {}
    names = known_setting_names()
    credentials = {}
    try:
        for file in Path(directory).iterdir():
            credentials[file.name] = _read_text_file(file) if file.name.upper() in names else ""
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InvalidSettings([unreadable_message(directory, error)]) from None
    return credentials


def _is_set_anywhere(name: str) -> bool:
    """Return whether the environment, `.env` or the credentials contain the setting, even without a value."""
    return (
        any(variable.upper() == name for variable in os.environ)
        or any((line.key or "").upper() == name for line in _parse_env_lines(_read_text_file(Path(ENV_FILE))))
        or any(credential.upper() == name for credential in _read_credentials())
    )
