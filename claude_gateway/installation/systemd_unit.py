"""Parser for the unit files of an installed service. No I/O.

It supports the parts of systemd's syntax that these units and their drop-ins use: sections, continued lines, lists that
an empty value clears, quotes, and some specifiers.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# The directory for which each specifier stands in a service of the system manager; see systemd.unit(5).
_SPECIFIER_DIRECTORIES = {"S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "t": "/run"}


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """Settings that the unit files of a service contain.

    Attributes:
        name: The name of the unit.
        user: The user of the service.
        working_directory: The absolute working directory; None if the unit names none.
        environment: The environment variables in the unit.
        environment_files: The paths of the environment files. If a path begins with `-`, the file may be missing.
        credentials: Maps the name of each credential to its source. The source is an absolute path, or a name in
            systemd's credential stores.
        literal_credentials: The credentials whose values the unit itself contains, by name.
        listen_address: Host and port of the service's socket, as values for `CLAUDE_WRAPPER_HOST` and `PORT`; None if
            the socket has no TCP address.
    """

    name: str
    user: str
    working_directory: Path | None
    environment: Mapping[str, str]
    environment_files: Sequence[str]
    credentials: Mapping[str, str]
    literal_credentials: Mapping[str, str]
    listen_address: tuple[str, int] | None


@dataclass(slots=True)
class _UnitValues:
    """All values of each name in one section of the unit files. An empty value removes the name's earlier values."""

    by_name: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, value: str) -> None:
        if value:
            self.by_name.setdefault(name, []).append(value)
        else:
            self.by_name.pop(name, None)

    def last(self, name: str) -> str:
        return self.by_name.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        return self.by_name.get(name, [])


def parse_service_unit(name: str, service_texts: Iterable[str], socket_texts: Iterable[str]) -> ServiceUnit:
    """Parse the service unit and the socket unit of a service.

    Args:
        name: The name of the service unit.
        service_texts: The text of the service unit, followed by the texts of its drop-in files.
        socket_texts: The text of the socket unit, followed by the texts of its drop-in files.
    """
    service, socket = _parse_section(service_texts, "Service"), _parse_section(socket_texts, "Socket")
    user = service.last("User") or "root"
    expand = _make_expander(name, user)
    directory = expand(service.last("WorkingDirectory").lstrip("-"))
    return ServiceUnit(
        name=name,
        user=user,
        working_directory=Path(directory) if directory.startswith("/") else None,
        environment=dict(_parse_assignments(expand(value) for value in service.all("Environment"))),
        environment_files=[expand(value) for value in service.all("EnvironmentFile")],
        credentials=dict(_parse_credentials(expand(value) for value in service.all("LoadCredential"))),
        literal_credentials=dict(_parse_credentials(service.all("SetCredential"))),
        listen_address=_parse_address(socket.last("ListenStream")),
    )


def parse_env_file(text: str) -> dict[str, str]:
    """Parse a file that an `EnvironmentFile=` setting names."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;")
    return {name.strip(): _unquote(value.strip()) for name, equals, value in pairs if equals}


def _parse_section(texts: Iterable[str], section: str) -> _UnitValues:
    values = _UnitValues()
    for text in texts:
        current_section = ""
        for line in _join_continued_lines(text):
            if line.startswith("["):
                current_section = line.strip("[]")
            elif current_section == section:
                name, _, value = line.partition("=")
                values.add(name.strip(), value.strip())
    return values


def _join_continued_lines(text: str) -> Iterator[str]:
    continued = ""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.endswith("\\"):
            continued += stripped[:-1] + " "
            continue
        yield continued + stripped
        continued = ""
    if continued:
        yield continued.strip()


def _make_expander(name: str, user: str) -> Callable[[str], str]:
    prefix = name.rpartition(".")[0]
    specifiers = {
        **_SPECIFIER_DIRECTORIES,
        "d": f"/run/credentials/{name}",
        "n": name,
        "N": prefix,
        "p": prefix,
        "u": user,
        "%": "%",
    }

    def expand(value: str) -> str:
        return re.sub("%(.)", lambda match: specifiers.get(match[1], match[0]), value)

    return expand


def _parse_assignments(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        for word in _split_words(value):
            name, equals, rest = word.partition("=")
            if equals:
                yield name, rest


def _parse_credentials(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        name, _, source = value.partition(":")
        yield name, source or name


def _parse_address(listen_stream: str) -> tuple[str, int] | None:
    host, colon, port = listen_stream.rpartition(":")
    if not port.isdecimal():
        return None
    return (host.strip("[]") if colon else "::"), int(port)


def _split_words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _unquote(value: str) -> str:
    return " ".join(_split_words(value)) if value[:1] in "\"'" else value
