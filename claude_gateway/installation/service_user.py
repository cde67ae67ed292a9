"""Lets a console command run with the settings, credentials, directory and user of the installed service."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.config.base import CREDENTIALS_DIRECTORY_VARIABLE
from claude_gateway.config.loading import known_setting_names, unreadable_message
from claude_gateway.core.errors import StartupError
from claude_gateway.installation.systemd_unit import ServiceUnit, parse_env_file, parse_service_unit

_UNIT_DIRECTORIES = ("/usr/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system")
# Directories in which systemd looks for a credential without a path; see systemd.exec(5).
_CREDENTIAL_STORES = ("/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore")
_RUNTIME_CREDENTIALS = Path("/run/credentials")
# This directory is only in memory. After this process has switched to the service's user, it can still remove a
# directory of this user from it.
_MEMORY_DIRECTORY = Path("/dev/shm")  # noqa: S108
# Environment variables with directories of the user who runs the command.
_USER_DIRECTORY_VARIABLES = (
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
)


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The installed service whose user and settings a console command uses.

    Attributes:
        service: The unit of the service.
        unreadable_credentials: Names of credentials that the service may have, but that the current user cannot read.
        warnings: Warnings for the user of the console, one line each.
    """

    service: ServiceUnit
    unreadable_credentials: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


@contextmanager
def run_as_service(unit_path: Path, *, is_required: bool, needs_credentials: bool) -> Iterator[ServiceContext | None]:
    """Switch this process to the user and settings of an installed service. The process cannot switch back.

    Args:
        unit_path: The unit file of the service.
        is_required: Whether the command must act on the service, and not on another gateway.
        needs_credentials: Whether the command needs the credentials of the service.

    Yields:
        The service, or None if the command acts on another gateway. This is the case if `STATE_DIR` names another
        directory, if no service is installed, or if `is_required` is false and the user is neither root nor the
        service's user.

    Raises:
        StartupError: If the command must act on the service but cannot.
    """
    service, warnings = _read_unit(unit_path)
    if service is None or _has_other_state_directory(service):
        yield None
        return
    account = _find_account(service)
    if os.geteuid() not in (0, account.pw_uid):
        if is_required:
            raise StartupError(
                f"This command works on the service {service.name}: run it as root, or as the user {service.user}. For "
                "a gateway of your own, set STATE_DIR."
            )
        yield None
        return
    warnings += _find_shell_overrides(service)
    _set_environment(service, account)
    hidden: frozenset[str] = frozenset()
    copied: Path | None = None
    if needs_credentials and CREDENTIALS_DIRECTORY_VARIABLE not in os.environ:
        if os.geteuid() == 0:
            copied = _copy_credentials(service, account)
            warnings += _find_unloaded_credentials(service)
            _use_credentials(service, copied)
        else:
            hidden = _use_runtime_credentials(service)
    try:
        _switch_user(account)
        if service.working_directory is not None:
            _change_directory(service.working_directory)
        yield ServiceContext(service, hidden, warnings)
    finally:
        if copied is not None:
            shutil.rmtree(copied, ignore_errors=True)


def _read_unit(unit_path: Path) -> tuple[ServiceUnit | None, tuple[str, ...]]:
    if not unit_path.is_file():
        return None, ()
    socket = unit_path.with_suffix(".socket")
    warnings: list[str] = []
    texts = [
        list(_read_texts([unit, *_find_drop_ins(unit.name, unit_path.parent)], warnings))
        for unit in (unit_path, socket)
    ]
    return parse_service_unit(unit_path.name, *texts), tuple(warnings)


def _find_drop_ins(name: str, directory: Path) -> list[Path]:
    """List the drop-in files of a unit, sorted by name.

    A drop-in file of the administrator replaces files of the same name in other directories.
    """
    drop_ins: dict[str, Path] = {}
    for unit_directory in (*map(Path, _UNIT_DIRECTORIES), directory):
        for file in (unit_directory / f"{name}.d").glob("*.conf"):
            drop_ins[file.name] = file
    return [drop_ins[file_name] for file_name in sorted(drop_ins)]


def _read_texts(files: Iterable[Path], warnings: list[str]) -> Iterator[str]:
    for file in files:
        try:
            yield file.read_text("utf-8", "replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            warnings.append(f"{unreadable_message(file, error)} Its settings are ignored here.")


def _has_other_state_directory(service: ServiceUnit) -> bool:
    state_dir = os.environ.get("STATE_DIR")
    return bool(state_dir) and Path(str(state_dir)).absolute() != Path(service.environment.get("STATE_DIR", ""))


def _find_account(service: ServiceUnit) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(service.user)
    except KeyError:
        raise StartupError(
            f"{service.name} runs as the user {service.user}, which does not exist. Create it with systemd-sysusers or "
            "`make install`."
        ) from None


def _find_shell_overrides(service: ServiceUnit) -> tuple[str, ...]:
    names = known_setting_names()
    set_names = [name for name in sorted(os.environ) if name in names and os.environ[name]]
    overrides = [name for name in set_names if os.environ[name] != service.environment.get(name)]
    return (f"variables of this shell override settings of the service: {', '.join(overrides)}",) if overrides else ()


def _set_environment(service: ServiceUnit, account: pwd.struct_passwd) -> None:
    for name in _USER_DIRECTORY_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    service_environment = dict(service.environment)
    for file in service.environment_files:
        service_environment |= _read_assignments(file)
    for name, value in service_environment.items():
        os.environ.setdefault(name, value)


def _read_assignments(file: str) -> Mapping[str, str]:
    """Read the variables in an environment file. If the path begins with `-`, the file may be missing."""
    path = Path(file.removeprefix("-"))
    try:
        return parse_env_file(path.read_text("utf-8"))
    except FileNotFoundError as error:
        if file.startswith("-"):
            return {}
        raise StartupError(unreadable_message(path, error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"Cannot read {path}: {error}") from None


def _copy_credentials(service: ServiceUnit, account: pwd.struct_passwd) -> Path:
    """Copy the credentials to a new directory that only the service's user can read, as systemd does.

    Only root can read the original files of the credentials.
    """
    directory = Path(tempfile.mkdtemp(prefix="claude-gateway-credentials-", dir=_MEMORY_DIRECTORY))
    try:
        for name, secret in _read_credentials(service).items():
            (directory / name).touch(0o400)
            os.chown(directory / name, account.pw_uid, account.pw_gid)
            (directory / name).write_bytes(secret)
        os.chown(directory, account.pw_uid, account.pw_gid)
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise StartupError(f"Cannot copy the credentials of {service.name}: {error}") from None
    return directory


def _read_credentials(service: ServiceUnit) -> dict[str, bytes]:
    runtime_dir = _RUNTIME_CREDENTIALS / service.name
    # Read the files of the running service. Credentials that systemd decrypts or asks for exist only in these files.
    secrets = {file.name: file.read_bytes() for file in runtime_dir.glob("*")} if runtime_dir.is_dir() else {}
    secrets |= {name: value.encode() for name, value in service.literal_credentials.items()}
    for name, source in service.credentials.items():
        paths = [Path(source)] if source.startswith("/") else [Path(store) / source for store in _CREDENTIAL_STORES]
        if (file := next((path for path in paths if path.is_file()), None)) is not None:
            secrets[name] = file.read_bytes()
        else:
            secrets.pop(name, None)
    return {name: secret for name, secret in secrets.items() if "/" not in name}


def _find_unloaded_credentials(service: ServiceUnit) -> tuple[str, ...]:
    """Return a warning for each credential file with the service's prefix that the service's unit does not load."""
    loaded_sources = set(service.credentials.values())
    prefix = f"{service.name.removesuffix('.service')}."
    return tuple(
        f"{file} is not used: {service.name} loads no credential with this name."
        for store in _CREDENTIAL_STORES
        for file in sorted(Path(store).glob(f"{prefix}*"))
        if file.name not in loaded_sources and str(file) not in loaded_sources
    )


def _use_credentials(service: ServiceUnit, directory: Path) -> None:
    os.environ[CREDENTIALS_DIRECTORY_VARIABLE] = str(directory)
    runtime_dir = str(_RUNTIME_CREDENTIALS / service.name)
    for name in service.environment:
        os.environ[name] = os.environ[name].replace(runtime_dir, str(directory))


def _use_runtime_credentials(service: ServiceUnit) -> frozenset[str]:
    """Use the credentials of the running service. If this user cannot read them, return their names instead."""
    directory = _RUNTIME_CREDENTIALS / service.name
    if os.access(directory, os.R_OK | os.X_OK):
        os.environ[CREDENTIALS_DIRECTORY_VARIABLE] = str(directory)
        return frozenset()
    return frozenset(service.credentials) | frozenset(service.literal_credentials)


def _switch_user(account: pwd.struct_passwd) -> None:
    os.umask(0o077)
    if os.geteuid() != 0 or account.pw_uid == 0:
        return
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _change_directory(directory: Path) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise StartupError(unreadable_message(directory, error)) from None
