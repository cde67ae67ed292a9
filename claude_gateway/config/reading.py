"""The settings as every command reads them: a file that cannot be read, a line that means nothing and a value that
cannot be are each one line that says what to do."""

import io
import ipaddress
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from pydantic import ValidationError

from claude_gateway.config.group import CREDENTIALS_DIRECTORY, ENV_FILE
from claude_gateway.config.misspelt import misspelt, misspelt_variable, similar
from claude_gateway.config.settings import Settings

MIN_API_KEY_LENGTH = 12
_MAKE_A_KEY = "openssl rand -hex 32 makes one"


class BadSettings(ValueError):
    """`complaints` name each setting, line or file that cannot be, without a value."""

    def __init__(self, complaints: Iterable[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("; ".join(self.complaints))


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, and what somebody should look at although it does no harm."""

    settings: Settings
    warnings: tuple[str, ...]


def read_settings() -> Reading:
    """The settings of this directory and environment. Raises `BadSettings`."""
    lines = _lines(_text(Path(ENV_FILE)))
    credentials = _credentials()
    if wrong := [*_unreadable_lines(lines), *_misspelt_lines(lines)]:
        raise BadSettings(wrong)
    try:
        settings = Settings()
    except ValidationError as error:
        raise BadSettings(complaints(error)) from None
    except RuntimeError as error:  # of `Path.home()`
        raise BadSettings([f"{error} Set STATE_DIR, or HOME."]) from None
    return Reading(settings, (*_useless_lines(lines), *_misspelt_variables(credentials)))


def read_settings_to_serve() -> Reading:
    """The same for a gateway that is about to serve with them, whose key must be one. Raises `BadSettings`."""
    reading = read_settings()
    if complaint := weak_key(reading.settings):
        raise BadSettings([complaint])
    return reading


def weak_key(settings: Settings) -> str:
    """What is wrong with `API_KEY` where others than this machine can connect; "" for nothing."""
    host = settings.claude_wrapper_host
    if _is_loopback(host) and not settings.trusted_proxies:
        return ""
    where = f"the gateway listens on {host}" if not _is_loopback(host) else "the gateway is behind a proxy"
    if settings.api_key is None:
        if _is_given("API_KEY"):
            return f"API_KEY is set, but empty, and {where}: give it a value ({_MAKE_A_KEY}), or take it out."
    elif len(settings.api_key.get_secret_value().strip()) < MIN_API_KEY_LENGTH:
        return (
            f"API_KEY is too short to keep anybody out, and {where}: give it at least {MIN_API_KEY_LENGTH} characters "
            f"({_MAKE_A_KEY})."
        )
    return ""


def complaints(error: ValidationError) -> Iterator[str]:
    """What pydantic says, with the names that stand in the environment and without a value."""
    for one in error.errors(include_input=False, include_url=False):
        if one["loc"]:
            yield f"setting {'_'.join(map(str, one['loc'])).upper()}: {one['msg']}"
        else:
            yield one["msg"].removeprefix("Value error, ")


def setting_names() -> frozenset[str]:
    """Every name that a setting has in the environment."""
    names = set()
    for name, field in Settings.model_fields.items():
        names.add(name.upper())
        names.update(str(choice).upper() for choice in getattr(field.validation_alias, "choices", ()))
    return frozenset(names)


def _text(file: Path) -> str:
    """What stands in it, "" where there is none. Raises `BadSettings`."""
    path = file.absolute()
    try:
        if path.is_dir():
            raise BadSettings([f"{path} is a directory, where a file with settings is expected."])
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise BadSettings([cannot_read(path, error)]) from None
    except UnicodeDecodeError as error:
        raise BadSettings([f"{path} is no text in UTF-8: see its byte {error.start + 1}."]) from None


def cannot_read(path: Path | str, error: OSError) -> str:
    """One line of a file that this user may not read, or that the disk does not give."""
    return f"Cannot read {path} as the user {_user()}: {error.strerror or error}."


def _user() -> str:
    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"with the id {user}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lines(text: str) -> list[Binding]:
    """Those that say something: no blank ones, no comments."""
    return [line for line in parse_stream(io.StringIO(text)) if line.error or line.key is not None]


def _unreadable_lines(lines: Iterable[Binding]) -> Iterator[str]:
    for line in lines:
        if line.error or line.value is None:
            yield f"{_place(line)} is no setting: write NAME=value, or # before it."


def _misspelt_lines(lines: Iterable[Binding]) -> Iterator[str]:
    for line, name in _unknown(lines):
        if meant := misspelt(name, setting_names()):
            yield f"{_place(line)}: {name} is no setting; {meant} is. Correct it, or put # before it."


def _useless_lines(lines: Iterable[Binding]) -> Iterator[str]:
    for line, name in _unknown(lines):
        meant = similar(name, setting_names())
        question = f" Is {meant} meant?" if meant else ""
        yield f"{_place(line)}: {name} is no setting of the gateway, and does nothing.{question}"


def _unknown(lines: Iterable[Binding]) -> Iterator[tuple[Binding, str]]:
    names = setting_names()
    for line in lines:
        if line.key is not None and line.key.upper() not in names:
            yield line, line.key


def _place(line: Binding) -> str:
    return f"{Path(ENV_FILE).absolute()} line {line.original.line + _blank_lines(line)}"


def _blank_lines(line: Binding) -> int:
    """The parser counts the blank lines before a setting as part of it."""
    before = line.original.string[: len(line.original.string) - len(line.original.string.lstrip())]
    return before.count("\n")


def _misspelt_variables(credentials: Mapping[str, str]) -> Iterator[str]:
    names = setting_names()
    for name in sorted(os.environ):
        if name not in names and (meant := misspelt_variable(name, names)):
            yield f"the variable {name} of the environment is no setting; {meant} is."
    for name in sorted(credentials):
        if name.upper() not in names and (meant := misspelt(name, names)):
            yield f"the credential {name} is no setting; {meant.lower()} is."


def _credentials() -> dict[str, str]:
    """The files that systemd or a container hands over, by name: those of settings are read, to see that they can be.
    Raises `BadSettings`."""
    given = os.environ.get(CREDENTIALS_DIRECTORY)
    if not given:
        return {}
    names = setting_names()
    found = {}
    try:
        for file in Path(given).iterdir():
            found[file.name] = _text(file) if file.name.upper() in names else ""
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise BadSettings([cannot_read(given, error)]) from None
    return found


def _is_given(name: str) -> bool:
    """Whether somebody wrote this setting down anywhere, be it without a value."""
    return (
        any(variable.upper() == name for variable in os.environ)
        or any((line.key or "").upper() == name for line in _lines(_text(Path(ENV_FILE))))
        or any(credential.upper() == name for credential in _credentials())
    )
