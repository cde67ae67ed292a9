"""Rules for the commands, environment variables and URLs of the MCP servers that a key may register. No I/O.

A stdio server runs as the user of the gateway, so the operator must list its command. An environment variable can make
a program load code. Therefore the gateway allows only variables with names that are usual for secrets or identities,
and variables that the operator lists.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.mcp_servers.models import HttpConfig, McpServer, StdioConfig

_ANY_ARGUMENTS = "*"
_MAX_COMMAND_CHARS = 8_192
_MAX_VALUE_CHARS = 8_192
_MAX_VALUES = 32
_MAX_URL_CHARS = 2_048

_VARIABLE_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
# Names of variables that contain a secret or an identity. No program executes or loads the values of such variables.
_SECRET_VARIABLE_NAME = re.compile(r"(.*_)?(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|ID|USER|USERNAME|EMAIL)")
# Variables that control a loader, an interpreter, a shell or an installer. The operator's patterns cannot allow them.
_FORBIDDEN_VARIABLE_NAME = re.compile(
    r"(LD|DYLD|PYTHON|NODE|NPM|YARN|PNPM|BUN|DENO|UV|PIP|PIPX|GIT|SSH|BASH|ZSH|PERL|RUBY|GEM|BUNDLE|JAVA|JDK|JVM|DOTNET"
    r"|CORECLR|COMPLUS|GLIBC|GCONV|MALLOC|OPENSSL|SSL|CURL|DOCKER|XDG|PHP|LUA|GO|CARGO|RUSTUP|RUST)(_[A-Z0-9_]*)?"
    r"|PYTHON[A-Z0-9_]*|RUBY[A-Z0-9_]*|PERL5[A-Z0-9_]*|PATH|HOME|ENV|IFS|PS4|SHELL|SHELLOPTS|BASHOPTS|CDPATH|EDITOR"
    r"|VISUAL|PAGER|TMPDIR|LOCPATH|NLSPATH|USER|LOGNAME|.*_OPTIONS|.*_PATH|.*_PROXY|[A-Z0-9_]*PRELOAD[A-Z0-9_]*"
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# Headers that the HTTP client or the MCP protocol sets.
_RESERVED_HEADER_NAME = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|keep-alive|expect|accept|accept-encoding|proxy-.*"
    r"|mcp-.*|last-event-id|cookie",
    re.IGNORECASE,
)


def parse_allowed_commands(value: str) -> tuple[tuple[str, ...], ...]:
    """Split the setting that lists the allowed commands into command lines, and each command line into words.

    Line breaks or `;` separate the command lines.

    Raises:
        ValueError: The quotation marks are invalid, or a command is `*`.
    """
    words = shlex.shlex(value, posix=True, punctuation_chars=";\n")
    words.whitespace, words.whitespace_split, words.commenters = " \t\r", True, ""
    lines: list[list[str]] = [[]]
    for word in words:
        if word.strip(";\n"):
            lines[-1].append(word)
        else:
            lines.append([])
    entries = tuple(tuple(line) for line in lines if line)
    if any(entry[0] == _ANY_ARGUMENTS for entry in entries):
        raise ValueError("`*` must follow a command; it cannot replace the command")
    return entries


@dataclass(frozen=True, slots=True)
class RegistrationPolicy:
    """Rules for the MCP servers that a key may register.

    Attributes:
        allowed_commands: Complete command lines, as words. A final `*` allows any further arguments.
        allowed_variables: Names, or patterns with `*`, of environment variables that are allowed in addition to
            variables that hold secrets.
        allow_private_addresses: Whether HTTP servers may have private addresses, ports other than 443 and plain HTTP.
    """

    allowed_commands: tuple[tuple[str, ...], ...] = ()
    allowed_variables: tuple[str, ...] = ()
    allow_private_addresses: bool = False

    def check(self, server: McpServer) -> None:
        """Check that the policy allows a server.

        Raises:
            ApiError: 403 if the operator has not allowed the server, 400 if its registration is invalid.
        """
        match server.transport:
            case StdioConfig(command, env):
                self._check_command(command)
                self._check_variables(env)
            case HttpConfig(url, headers, _):
                self._check_url(url)
                _check_headers(headers)

    def _check_command(self, command: Sequence[str]) -> None:
        if not all(word.isprintable() for word in command) or sum(map(len, command)) > _MAX_COMMAND_CHARS:
            raise bad_request("command", f"must be printable and have at most {_MAX_COMMAND_CHARS} characters")
        if not any(_matches_command(entry, tuple(command)) for entry in self.allowed_commands):
            command_line = shlex.join(command)
            raise ApiError(
                403,
                "permission_error",
                "The gateway runs only commands that its operator has listed. To allow this command, add it to the "
                f"settings: MCP_ALLOWED_COMMANDS={command_line} (separate several commands with `;`)",
                code="mcp_command_not_allowed",
                extra={"add": {"setting": "MCP_ALLOWED_COMMANDS", "line": command_line}},
            )

    def _check_variables(self, env: Mapping[str, str]) -> None:
        _check_size(env, "env")
        for name, value in env.items():
            if not _VARIABLE_NAME.fullmatch(name) or "\0" in value:
                raise bad_request(
                    "env",
                    f"{name[:60]!r} is not a valid variable: use at most 64 capital letters, digits and underscores, "
                    "and no NUL byte in the value",
                )
            if _FORBIDDEN_VARIABLE_NAME.fullmatch(name):
                raise bad_request("env", f"{name} controls what a program loads or runs, and is not allowed")
            if not _SECRET_VARIABLE_NAME.fullmatch(name) and not any(
                fnmatchcase(name, pattern) for pattern in self.allowed_variables
            ):
                raise ApiError(
                    403,
                    "permission_error",
                    "A server may have variables that hold secrets or identities (…_KEY, …_TOKEN, …_SECRET, "
                    "…_PASSWORD, …_ID, …_USER) and variables that the operator lists in MCP_ALLOWED_ENV. To allow "
                    f"{name}, add it there.",
                    code="mcp_env_not_allowed",
                    param="env",
                )

    def _check_url(self, url: str) -> None:
        if len(url) > _MAX_URL_CHARS or not url.isprintable() or " " in url:
            raise bad_request("url", "must be a URL")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise bad_request("url", "must be a URL") from None
        if "@" in parts.netloc or parts.fragment:
            raise bad_request("url", "must not have a user name, a password or a fragment: put secrets into headers")
        schemes = ("https", "http") if self.allow_private_addresses else ("https",)
        if parts.scheme not in schemes or not parts.hostname:
            raise bad_request("url", f"must be an {schemes[0]}: URL of a public address")
        if port not in (None, 443) and not self.allow_private_addresses:
            raise bad_request("url", "must be an https: URL of a public address with port 443")


def strip_url_query(url: str) -> str:
    """Replace the query of a URL by `…`, because the query may contain a secret."""
    base, question_mark, _ = url.partition("?")
    return f"{base}{question_mark}…" if question_mark else base


def _matches_command(pattern: tuple[str, ...], command: tuple[str, ...]) -> bool:
    if pattern[-1] == _ANY_ARGUMENTS:
        return command[: len(pattern) - 1] == pattern[:-1]
    return command == pattern


def _check_headers(headers: Mapping[str, str]) -> None:
    _check_size(headers, "headers")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or _RESERVED_HEADER_NAME.fullmatch(name):
            raise bad_request("headers", f"{name[:60]!r} cannot be set")
        if not (value.isascii() and value.isprintable()):
            raise bad_request("headers", f"the value of {name!r} must be printable ASCII")


def _check_size(values: Mapping[str, str], field_path: str) -> None:
    if len(values) > _MAX_VALUES or any(len(value) > _MAX_VALUE_CHARS for value in values.values()):
        raise bad_request(
            field_path, f"must have at most {_MAX_VALUES} entries with values of at most {_MAX_VALUE_CHARS} characters"
        )
