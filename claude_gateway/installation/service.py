"""The installed command acts as the service does: with its settings and credentials, in its directory, as its user."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.config.group import CREDENTIALS_DIRECTORY
from claude_gateway.config.reading import cannot_read, setting_names
from claude_gateway.installation.unit import Service, read_assignments, read_service
from claude_gateway.start_failed import StartFailed

_UNIT_DIRECTORIES = ("/usr/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system")
# Where systemd looks for a credential without a path, see systemd.exec(5).
_CREDENTIAL_STORES = ("/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore")
_RUNNING_CREDENTIALS = Path("/run/credentials")
# In memory, and a directory there can be removed by its owner.
_PRIVATE_MEMORY = Path("/dev/shm")  # noqa: S108
# These lead to directories of the user who calls.
_OF_THE_CALLER = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Acting:
    """`hidden` are credentials that this user cannot look at, so that nobody knows whether the service has them.
    `warnings` are lines for the person at the console."""

    service: Service
    hidden: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


@contextmanager
def acting_as_service(unit: Path, *, must: bool, credentials: bool) -> Iterator[Acting | None]:
    """Become the service of a unit file for the length of a `with`; there is no way back.

    Yields None where the caller works on a gateway of their own: `STATE_DIR` says so, no service is installed, or
    neither root nor the service's user calls a command that need not (`must`) work on the service. `credentials` tells
    whether the command needs them. Raises `StartFailed`.
    """
    service, warnings = _read(unit)
    if service is None or _has_own_state_directory(service):
        yield None
        return
    account = _account(service)
    if os.geteuid() not in (0, account.pw_uid):
        if must:
            raise StartFailed(
                f"This works on the service {service.name}: run it as root, or as the user {service.user}. For a "
                "gateway of your own, set STATE_DIR."
            )
        yield None
        return
    warnings += _settings_of_the_shell(service)
    _set_environment(service, account)
    hidden: frozenset[str] = frozenset()
    copied: Path | None = None
    if credentials and CREDENTIALS_DIRECTORY not in os.environ:
        if os.geteuid() == 0:
            copied = _copy_credentials(service, account)
            warnings += _unloaded_credentials(service)
            _use_credentials(service, copied)
        else:
            hidden = _use_running_credentials(service)
    try:
        _become(account)
        if service.working_directory is not None:
            _enter(service.working_directory)
        yield Acting(service, hidden, warnings)
    finally:
        if copied is not None:
            shutil.rmtree(copied, ignore_errors=True)


def _read(unit: Path) -> tuple[Service | None, tuple[str, ...]]:
    if not unit.is_file():
        return None, ()
    socket = unit.with_suffix(".socket")
    warnings: list[str] = []
    texts = [list(_texts([one, *_drop_ins(one.name, unit.parent)], warnings)) for one in (unit, socket)]
    return read_service(unit.name, *texts), tuple(warnings)


def _drop_ins(name: str, directory: Path) -> list[Path]:
    """By their names; of two with the same name the one of the administrator."""
    found: dict[str, Path] = {}
    for place in (*map(Path, _UNIT_DIRECTORIES), directory):
        for file in (place / f"{name}.d").glob("*.conf"):
            found[file.name] = file
    return [found[file] for file in sorted(found)]


def _texts(files: Iterable[Path], warnings: list[str]) -> Iterator[str]:
    for file in files:
        try:
            yield file.read_text("utf-8", "replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            warnings.append(f"{cannot_read(file, error)} What it sets is not seen here.")


def _has_own_state_directory(service: Service) -> bool:
    own = os.environ.get("STATE_DIR")
    return bool(own) and Path(str(own)).absolute() != Path(service.environment.get("STATE_DIR", ""))


def _account(service: Service) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(service.user)
    except KeyError:
        raise StartFailed(
            f"{service.name} runs as the user {service.user}, and there is none: systemd-sysusers makes it, or "
            "`make install`."
        ) from None


def _settings_of_the_shell(service: Service) -> tuple[str, ...]:
    names = setting_names()
    given = [name for name in sorted(os.environ) if name in names and os.environ[name]]
    others = [name for name in given if os.environ[name] != service.environment.get(name)]
    return (f"set in this shell, and counted before the service's own: {', '.join(others)}",) if others else ()


def _set_environment(service: Service, account: pwd.struct_passwd) -> None:
    for name in _OF_THE_CALLER:
        os.environ.pop(name, None)
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    given = dict(service.environment)
    for file in service.environment_files:
        given |= _read_assignments(file)
    for name, value in given.items():
        os.environ.setdefault(name, value)


def _read_assignments(file: str) -> Mapping[str, str]:
    """A file with `-` before it need not be there."""
    path = Path(file.removeprefix("-"))
    try:
        return read_assignments(path.read_text("utf-8"))
    except FileNotFoundError as error:
        if file.startswith("-"):
            return {}
        raise StartFailed(cannot_read(path, error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartFailed(f"Cannot read {path}: {error}") from None


def _copy_credentials(service: Service, account: pwd.struct_passwd) -> Path:
    """A directory of that user's alone, as systemd makes one. Only root can read where the credentials come from."""
    directory = Path(tempfile.mkdtemp(prefix="claude-gateway-credentials-", dir=_PRIVATE_MEMORY))
    try:
        for name, secret in _secrets(service).items():
            (directory / name).touch(0o400)
            os.chown(directory / name, account.pw_uid, account.pw_gid)
            (directory / name).write_bytes(secret)
        os.chown(directory, account.pw_uid, account.pw_gid)
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise StartFailed(f"Cannot hand over the credentials of {service.name}: {error}") from None
    return directory


def _secrets(service: Service) -> dict[str, bytes]:
    running = _RUNNING_CREDENTIALS / service.name
    # What systemd decrypts or asks for has no file of its own but this.
    found = {file.name: file.read_bytes() for file in running.glob("*")} if running.is_dir() else {}
    found |= {name: value.encode() for name, value in service.literals.items()}
    for name, source in service.credentials.items():
        places = [Path(source)] if source.startswith("/") else [Path(store) / source for store in _CREDENTIAL_STORES]
        if (file := next((place for place in places if place.is_file()), None)) is not None:
            found[name] = file.read_bytes()
        else:
            found.pop(name, None)
    return {name: secret for name, secret in found.items() if "/" not in name}


def _unloaded_credentials(service: Service) -> tuple[str, ...]:
    """Files that somebody meant for the service, and whose names its unit does not have."""
    loaded = set(service.credentials.values())
    meant = f"{service.name.removesuffix('.service')}."
    return tuple(
        f"{file} reaches nobody: {service.name} loads no credential of this name."
        for store in _CREDENTIAL_STORES
        for file in sorted(Path(store).glob(f"{meant}*"))
        if file.name not in loaded and str(file) not in loaded
    )


def _use_credentials(service: Service, directory: Path) -> None:
    os.environ[CREDENTIALS_DIRECTORY] = str(directory)
    of_the_service = str(_RUNNING_CREDENTIALS / service.name)
    for name in service.environment:
        os.environ[name] = os.environ[name].replace(of_the_service, str(directory))


def _use_running_credentials(service: Service) -> frozenset[str]:
    """Those that systemd gave the running service, which its user may read; returns those that it may not."""
    directory = _RUNNING_CREDENTIALS / service.name
    if os.access(directory, os.R_OK | os.X_OK):
        os.environ[CREDENTIALS_DIRECTORY] = str(directory)
        return frozenset()
    return frozenset(service.credentials) | frozenset(service.literals)


def _become(account: pwd.struct_passwd) -> None:
    os.umask(0o077)
    if os.geteuid() != 0 or account.pw_uid == 0:
        return
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _enter(directory: Path) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise StartFailed(cannot_read(directory, error)) from None
