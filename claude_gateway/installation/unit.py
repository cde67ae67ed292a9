"""What the unit files of an installed service say of its user, settings, credentials and address. Pure.

Of systemd's language it knows what these units and their drop-ins use: sections, continued lines, lists that an empty
value clears, quotes, and the specifiers below.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# See systemd.unit(5), for a service of the system manager.
_DIRECTORIES = {"S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "t": "/run"}


@dataclass(frozen=True, slots=True)
class Service:
    """`credentials` are files by the name of each: an absolute path, or a name to be looked for where systemd keeps
    credentials. `literals` are credentials whose value stands in the unit. `address` is where its socket listens, as
    `CLAUDE_WRAPPER_HOST` and `PORT`; None for what is no address of TCP."""

    name: str
    user: str
    working_directory: Path | None
    environment: Mapping[str, str]
    environment_files: Sequence[str]
    credentials: Mapping[str, str]
    literals: Mapping[str, str]
    address: tuple[str, int] | None


@dataclass(slots=True)
class _Values:
    """Every value of a name, in order; an empty one clears those before it."""

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


def read_service(name: str, service: Iterable[str], socket: Iterable[str]) -> Service:
    """Of the texts of the two units, each with its drop-ins behind it."""
    said, listens = _values(service, "Service"), _values(socket, "Socket")
    user = said.last("User") or "root"
    expand = _expander(name, user)
    directory = expand(said.last("WorkingDirectory").lstrip("-"))
    return Service(
        name=name,
        user=user,
        working_directory=Path(directory) if directory.startswith("/") else None,
        environment=dict(_assignments(expand(value) for value in said.all("Environment"))),
        environment_files=[expand(value) for value in said.all("EnvironmentFile")],
        credentials=dict(_credentials(expand(value) for value in said.all("LoadCredential"))),
        literals=dict(_credentials(said.all("SetCredential"))),
        address=_address(listens.last("ListenStream")),
    )


def read_assignments(text: str) -> dict[str, str]:
    """Of a file that an `EnvironmentFile=` names."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;")
    return {name.strip(): _unquoted(value.strip()) for name, equals, value in pairs if equals}


def _values(texts: Iterable[str], section: str) -> _Values:
    found = _Values()
    for text in texts:
        within = ""
        for line in _whole_lines(text):
            if line.startswith("["):
                within = line.strip("[]")
            elif within == section:
                name, _, value = line.partition("=")
                found.add(name.strip(), value.strip())
    return found


def _whole_lines(text: str) -> Iterator[str]:
    held = ""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.endswith("\\"):
            held += stripped[:-1] + " "
            continue
        yield held + stripped
        held = ""
    if held:
        yield held.strip()


def _expander(name: str, user: str) -> Callable[[str], str]:
    plain = name.rpartition(".")[0]
    specifiers = {
        **_DIRECTORIES,
        "d": f"/run/credentials/{name}",
        "n": name,
        "N": plain,
        "p": plain,
        "u": user,
        "%": "%",
    }

    def expand(value: str) -> str:
        return re.sub("%(.)", lambda found: specifiers.get(found[1], found[0]), value)

    return expand


def _assignments(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        for word in _words(value):
            name, equals, rest = word.partition("=")
            if equals:
                yield name, rest


def _credentials(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        name, _, source = value.partition(":")
        yield name, source or name


def _address(listens: str) -> tuple[str, int] | None:
    host, colon, port = listens.rpartition(":")
    if not port.isdecimal():
        return None
    return (host.strip("[]") if colon else "::"), int(port)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _unquoted(value: str) -> str:
    return " ".join(_words(value)) if value[:1] in "\"'" else value
