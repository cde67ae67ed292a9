"""Builds the sandbox for a CLI process with built-in tools. No I/O.

Bubblewrap runs the whole CLI in a sandbox, and the CLI runs each command in a second sandbox inside of the first
sandbox. `workers.sandbox.probe` tests whether the kernel allows the second sandbox.

On the disk, the CLI process sees only its workspace and the programs of the system, which it cannot change. It sees
neither the other directories of the gateway nor the home directories of users. It has its own process namespace, and
all processes in the namespace end together. The commands that the CLI runs also have no network, and do not see the
process of the CLI.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox import bubblewrap
from workers.sandbox.bubblewrap import (
    SYSTEM_MOUNTS,
    Mount,
    build_bwrap_command,
    build_process_limits,
    build_sandbox_limits,
    build_tmpfs_args,
)

CLI_SANDBOX_WORKSPACE = "/desk"
CLI_SANDBOX_HOME = "/home/worker"
_CLI_PATH = "/opt/claude"
# The directory in which the CLI records its conversations.
_TRANSCRIPT_PATH = f"{CLI_SANDBOX_HOME}/.claude/projects"
_SHELL_PATH = "/bin/bash"
_REQUIRED_PROGRAMS = ("socat", "rg", "bash")
_TMP_PATH = "/tmp"  # noqa: S108 - inside of the sandbox


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """The user and the limits of a sandbox.

    Attributes:
        uid: The id of the user as which the sandbox runs if the gateway runs as root; None if the gateway does not run
            as root.
        max_file_bytes: The maximum size of a file that a process in the sandbox may write.
        max_process_bytes: The maximum memory that each process in a command may allocate.
    """

    uid: int | None
    max_file_bytes: int
    max_process_bytes: int


def list_cli_sandbox_programs(spec: SandboxSpec) -> tuple[str, ...]:
    """Return the names of the programs that must be installed for the sandbox."""
    return (*bubblewrap.list_bubblewrap_programs(spec.uid), *_REQUIRED_PROGRAMS)


def build_cli_sandbox_command(
    spec: SandboxSpec,
    cli_path: Path,
    arguments: Sequence[str],
    workspace: Path,
    login_dir: Path | None = None,
    transcript_dir: Path | None = None,
) -> tuple[str, ...]:
    """Return the command line that starts the CLI in the sandbox.

    The CLI keeps its login and its transcript in its home directory, which no command and no file tool can read.

    Args:
        spec: The user and the limits of the sandbox.
        cli_path: The path of the `claude` program.
        arguments: The arguments of the CLI.
        workspace: The workspace, to which the process may write.
        login_dir: A directory that contains a login, to which the CLI writes when it renews the login; None if
            environment variables contain the login.
        transcript_dir: The directory in which the CLI records its conversation; None if the gateway does not keep the
            recorded conversation.
    """
    # If the gateway runs as root, two bwrap processes run one after another (see `build_bwrap_command`). The first one
    # mounts the transcript directory. The second one mounts it again, because its new /home covers the first mount.
    transcript_mounts = (
        (Mount(str(transcript_dir), _TRANSCRIPT_PATH, writable=True),)
        if transcript_dir and spec.uid is not None
        else ()
    )
    sandbox_mounts = (
        *SYSTEM_MOUNTS,
        Mount(str(cli_path), _CLI_PATH),
        Mount(str(workspace), CLI_SANDBOX_WORKSPACE, writable=True),
        *transcript_mounts,
    )
    extra_args = (
        *build_tmpfs_args(_TMP_PATH),
        *build_tmpfs_args(CLI_SANDBOX_HOME),
        *(("--bind", str(login_dir), f"{CLI_SANDBOX_HOME}/.claude") if login_dir else ()),
        *(
            ("--bind", str(transcript_dir) if spec.uid is None else _TRANSCRIPT_PATH, _TRANSCRIPT_PATH)
            if transcript_dir
            else ()
        ),
        *("--chdir", CLI_SANDBOX_WORKSPACE),
    )
    command = ("prlimit", *build_sandbox_limits(spec.max_file_bytes), "--", _CLI_PATH, *arguments)
    return build_bwrap_command(spec.uid, sandbox_mounts, (CLI_SANDBOX_HOME, _TMP_PATH), extra_args, command)


def build_command_prefix(spec: SandboxSpec) -> str:
    """Return the prefix that the CLI puts before each command. The prefix limits the memory of the command.

    The CLI process itself does not run under this limit, because it maps 5.5 GB of memory.
    """
    # The CLI quotes the text before the last " -" as one word and does not change the text after the " -". So the
    # function separates the words after `prlimit --data=…` by tabs and not by spaces.
    return "prlimit " + "\t".join((*build_process_limits(spec.max_process_bytes), _SHELL_PATH, "-c"))


def build_cli_sandbox_env(spec: SandboxSpec) -> dict[str, str]:
    """Return the environment variables that the CLI needs in the sandbox in addition to its other variables."""
    return {
        "HOME": CLI_SANDBOX_HOME,
        "CLAUDE_CONFIG_DIR": f"{CLI_SANDBOX_HOME}/.claude",
        "TMPDIR": _TMP_PATH,
        "CLAUDE_CODE_SHELL": _SHELL_PATH,
        "CLAUDE_CODE_SHELL_PREFIX": build_command_prefix(spec),
    }


def build_cli_settings(secret_variables: Iterable[str]) -> str:
    """Return the settings that the gateway passes to the CLI, as JSON.

    With these settings, the CLI runs commands only in a sandbox without network, and removes the secret environment
    variables from the commands.
    """
    return json.dumps(
        {
            "sandbox": {
                "enabled": True,
                "failIfUnavailable": True,
                "allowUnsandboxedCommands": False,
                "autoAllowBashIfSandboxed": True,
                "filesystem": {"denyRead": [CLI_SANDBOX_HOME]},
                "network": {"allowedDomains": []},
                "credentials": {"envVars": [{"name": name, "mode": "deny"} for name in sorted(secret_variables)]},
            }
        }
    )
