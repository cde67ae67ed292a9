"""The box of a process that works with Claude's own tools: bubblewrap around the whole CLI, and settings by which the
CLI puts each command into a second one. Pure; what a kernel makes of it is asked once, in `workers.sandbox_check`.

The process sees the system's programs read-only, its own work directory and nothing else of the disk: no other
directory of this gateway, no state, no home. It is alone in its process namespace, which dies whole with it.
The commands that it runs have, besides, no network and no sight of the CLI itself.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

WORK = "/desk"
HOME = "/home/worker"
_CLI = "/opt/claude"
# Where the CLI writes down its conversations.
_TALK = f"{HOME}/.claude/projects"
_SHELL = "/bin/bash"
_PROGRAMS = ("bwrap", "socat", "rg", "prlimit", "bash")
_PROGRAMS_OF_ROOT = ("setpriv",)
# Read-only, where they are there.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/magic", "/etc/fonts"),
)
# Made beforehand: what is made on the way to a mount is closed to everybody but its maker.
_PARENTS = ("/etc", "/opt", "/home", HOME, f"{HOME}/.claude", "/tmp")  # noqa: S108 - of the box
# Inside it is this one, whoever it is outside.
_INNER_USER = "1000"
_NAMESPACES = ("--unshare-user", "--uid", _INNER_USER, "--gid", _INNER_USER, "--unshare-pid", "--unshare-ipc")
_SCRATCH_BYTES = 256 * 1024 * 1024
# Threads count too, and the CLI alone has some twenty.
_MOST_PROCESSES = 400
# What of a stack may be taken at first, and at most.
_STACK_BYTES = (8 * 1024 * 1024, 64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Box:
    """`user`: whom a gateway that runs as root becomes for it; None where it runs as somebody else.
    `largest_file` is in bytes, and so is `largest_process`, what a process that a command starts may allocate."""

    user: int | None
    largest_file: int
    largest_process: int


def programs(box: Box) -> tuple[str, ...]:
    """What must be installed."""
    return _PROGRAMS if box.user is None else _PROGRAMS + _PROGRAMS_OF_ROOT


def boxed(
    box: Box,
    cli: Path,
    arguments: Sequence[str],
    work: Path,
    login: Path | None = None,
    talk: Path | None = None,
) -> tuple[str, ...]:
    """The command line that starts `cli` in the box. `login` is a directory with a login that it may renew, `talk` one
    in which it writes down its conversation: in its home, which no command and no file tool reaches."""
    mounts = (
        *(word for path in _SYSTEM for word in ("--ro-bind-try", path, path)),
        *("--ro-bind", str(cli), _CLI),
        *("--bind", str(work), WORK),
    )
    own = (
        *("--perms", "0700", "--size", str(_SCRATCH_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - of the box
        *("--perms", "0700", "--size", str(_SCRATCH_BYTES), "--tmpfs", HOME),
        *(("--bind", str(login), f"{HOME}/.claude") if login else ()),
        *(("--bind", str(talk) if box.user is None else _TALK, _TALK) if talk else ()),
        *("--chdir", WORK, "--die-with-parent"),
    )
    limited = ("prlimit", f"--nproc={_MOST_PROCESSES}", f"--fsize={box.largest_file}", "--core=0", "--")
    inside = ("--", *limited, _CLI, *arguments)
    if box.user is None:
        return ("bwrap", *_NAMESPACES, *mounts, "--proc", "/proc", "--dev", "/dev", *own, *inside)
    # Root mounts what nobody else could reach, and then becomes somebody: the limits on processes do not bind root,
    # and a fault of the kernel would be root's. /proc is the host's here only because one must be there before a
    # namespace's own can be mounted; the second step covers it. The namespace of processes is for a gateway that is
    # killed: the program that waits in the first step has no capability left by which its end could end another user.
    # Where the conversation stands there in the first step, the second finds it under what it puts over the home.
    lent = ("--bind", str(talk), _TALK) if talk else ()
    places = (word for path in _PARENTS for word in ("--perms", "0755", "--dir", path))
    own_first = ("--die-with-parent", "--unshare-pid")
    first = ("bwrap", *own_first, *places, *mounts, *lent, "--bind", "/proc", "/proc", "--dev", "/dev")
    user = str(box.user)
    become = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs", "--pdeathsig", "KILL")
    second = ("bwrap", *_NAMESPACES, "--bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
    return (*first, "--", *become, "--", *second, *own, *inside)


def limiting(box: Box) -> str:
    """What the CLI is to put before each command: limits that no command can raise again, in its own sandbox too.

    Of memory that it has to itself, not of addresses: node and Java reserve many gigabytes of those. The CLI's own
    process has such a limit neither way, for it maps 5.5 GB.
    """
    data, (stack, largest_stack) = box.largest_process, _STACK_BYTES
    # The CLI quotes what stands before the last " -" as one word and leaves the rest as it is: hence the tabs.
    return f"prlimit --data={data}:{data}\t--stack={stack}:{largest_stack}\t{_SHELL}\t-c"


def variables(box: Box) -> dict[str, str]:
    """The environment that the CLI has by its box."""
    return {
        "HOME": HOME,
        "CLAUDE_CONFIG_DIR": f"{HOME}/.claude",
        "TMPDIR": "/tmp",  # noqa: S108 - of the box
        "CLAUDE_CODE_SHELL": _SHELL,
        "CLAUDE_CODE_SHELL_PREFIX": limiting(box),
    }


def settings(secrets: Iterable[str]) -> str:
    """The CLI's settings: every command in its sandbox or not at all; no host may be reached, no secret seen."""
    return json.dumps(
        {
            "sandbox": {
                "enabled": True,
                "failIfUnavailable": True,
                "allowUnsandboxedCommands": False,
                "autoAllowBashIfSandboxed": True,
                "filesystem": {"denyRead": [HOME]},
                "network": {"allowedDomains": []},
                "credentials": {"envVars": [{"name": name, "mode": "deny"} for name in sorted(secrets)]},
            }
        }
    )
