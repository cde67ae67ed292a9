"""What a key may register: which programs, which variables for them, which addresses. Nothing that is not listed. Pure.

A program runs as the user of the gateway, so the operator names each command line; a variable can make any program load
code, so only those pass that hold a secret by the form of their names, or that the operator lists.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from claude_gateway.errors import ApiError
from claude_gateway.mcp_servers.server import Address, Program, Server
from claude_gateway.prompt.conversation import bad

_ANY_FURTHER = "*"
_LONGEST_LINE = 8_192
_LONGEST_VALUE = 8_192
_MOST_VALUES = 32
_LONGEST_URL = 2_048

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
# Names that say of what they hold that it is an identity or a secret of somebody's, which nothing runs or loads.
_HOLDS_A_SECRET = re.compile(r"(.*_)?(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|ID|USER|USERNAME|EMAIL)")
# What a loader, an interpreter, a shell or an installer obeys, whatever the operator's patterns say.
_OBEYED = re.compile(
    r"(LD|DYLD|PYTHON|NODE|NPM|YARN|PNPM|BUN|DENO|UV|PIP|PIPX|GIT|SSH|BASH|ZSH|PERL|RUBY|GEM|BUNDLE|JAVA|JDK|JVM|DOTNET"
    r"|CORECLR|COMPLUS|GLIBC|GCONV|MALLOC|OPENSSL|SSL|CURL|DOCKER|XDG|PHP|LUA|GO|CARGO|RUSTUP|RUST)(_[A-Z0-9_]*)?"
    r"|PYTHON[A-Z0-9_]*|RUBY[A-Z0-9_]*|PERL5[A-Z0-9_]*|PATH|HOME|ENV|IFS|PS4|SHELL|SHELLOPTS|BASHOPTS|CDPATH|EDITOR"
    r"|VISUAL|PAGER|TMPDIR|LOCPATH|NLSPATH|USER|LOGNAME|.*_OPTIONS|.*_PATH|.*_PROXY|[A-Z0-9_]*PRELOAD[A-Z0-9_]*"
)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# The connection's own, and those of the protocol.
_OWN_HEADERS = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|keep-alive|expect|accept|accept-encoding|proxy-.*"
    r"|mcp-.*|last-event-id|cookie",
    re.IGNORECASE,
)


def read_commands(value: str) -> tuple[tuple[str, ...], ...]:
    """Command lines, one a line or with `;` between, as their words. Raises `ValueError`."""
    words = shlex.shlex(value, posix=True, punctuation_chars=";\n")
    words.whitespace, words.whitespace_split, words.commenters = " \t\r", True, ""
    lines: list[list[str]] = [[]]
    for word in words:
        if word.strip(";\n"):
            lines[-1].append(word)
        else:
            lines.append([])
    entries = tuple(tuple(line) for line in lines if line)
    if any(entry[0] == _ANY_FURTHER for entry in entries):
        raise ValueError("`*` stands behind a command, not for one")
    return entries


@dataclass(frozen=True, slots=True)
class Rules:
    """`commands` are whole command lines; one that ends in ` *` allows any further arguments. `variables` are names, or
    patterns with `*`, of variables that programs may be given besides those that hold secrets."""

    commands: tuple[tuple[str, ...], ...] = ()
    variables: tuple[str, ...] = ()
    private_addresses: bool = False

    def check(self, server: Server) -> None:
        """Raises `ApiError`: 403 for what the operator has not allowed, 400 for what can never be."""
        match server.reach:
            case Program(line, env):
                self._check_line(line)
                self._check_variables(env)
            case Address(url, headers, _):
                self._check_url(url)
                _check_headers(headers)

    def _check_line(self, line: Sequence[str]) -> None:
        if not all(word.isprintable() for word in line) or sum(map(len, line)) > _LONGEST_LINE:
            raise bad("command", "must be printable, and not so long")
        if not any(_allows(entry, tuple(line)) for entry in self.commands):
            missing = shlex.join(line)
            raise ApiError(
                403,
                "permission_error",
                "This gateway runs no program that its operator has not listed. Where this one is to be run, add to "
                f"its settings: MCP_ALLOWED_COMMANDS={missing} (of several, with `;` between)",
                code="mcp_command_not_allowed",
                extra={"add": {"setting": "MCP_ALLOWED_COMMANDS", "line": missing}},
            )

    def _check_variables(self, env: Mapping[str, str]) -> None:
        _check_size(env, "env")
        for name, value in env.items():
            if not _VARIABLE.fullmatch(name) or "\0" in value:
                raise bad("env", f"{name[:60]!r} is no variable: capitals, digits and underscores, 64 at most")
            if _OBEYED.fullmatch(name):
                raise bad("env", f"{name} decides what a program loads or runs, and is never passed on")
            if not _HOLDS_A_SECRET.fullmatch(name) and not any(fnmatchcase(name, one) for one in self.variables):
                raise ApiError(
                    403,
                    "permission_error",
                    "Programs are given variables that hold keys and names of users (…_KEY, …_TOKEN, …_SECRET, "
                    f"…_PASSWORD, …_ID, …_USER), and those listed in MCP_ALLOWED_ENV: add {name} there.",
                    code="mcp_env_not_allowed",
                    param="env",
                )

    def _check_url(self, url: str) -> None:
        if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
            raise bad("url", "must be a URL")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise bad("url", "must be a URL") from None
        if "@" in parts.netloc or parts.fragment:
            raise bad("url", "may have no user name, password or fragment: secrets belong into headers")
        schemes = ("https", "http") if self.private_addresses else ("https",)
        if parts.scheme not in schemes or not parts.hostname:
            raise bad("url", f"must be an {schemes[0]}: URL of a public address")
        if port not in (None, 443) and not self.private_addresses:
            raise bad("url", "must be an https: URL of a public address, at port 443")


def shown_url(url: str) -> str:
    """Without its query, which may hold a secret."""
    head, mark, _ = url.partition("?")
    return f"{head}{mark}…" if mark else head


def _allows(entry: tuple[str, ...], line: tuple[str, ...]) -> bool:
    if entry[-1] == _ANY_FURTHER:
        return line[: len(entry) - 1] == entry[:-1]
    return line == entry


def _check_headers(headers: Mapping[str, str]) -> None:
    _check_size(headers, "headers")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or _OWN_HEADERS.fullmatch(name):
            raise bad("headers", f"{name[:60]!r} cannot be set")
        if not (value.isascii() and value.isprintable()):
            raise bad("headers", f"the value of {name!r} is no header's")


def _check_size(values: Mapping[str, str], where: str) -> None:
    if len(values) > _MOST_VALUES or any(len(value) > _LONGEST_VALUE for value in values.values()):
        raise bad(where, f"at most {_MOST_VALUES}, each of {_LONGEST_VALUE} characters")
