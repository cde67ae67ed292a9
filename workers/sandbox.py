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

from workers import enclosure
from workers.enclosure import SYSTEM, Shown, enclosed, of_all, of_one_process, scratch

WORK = "/desk"
HOME = "/home/worker"
_CLI = "/opt/claude"
# Where the CLI writes down its conversations.
_TALK = f"{HOME}/.claude/projects"
_SHELL = "/bin/bash"
_PROGRAMS = ("socat", "rg", "bash")
_TMP = "/tmp"  # noqa: S108 - of the box


@dataclass(frozen=True, slots=True)
class Box:
    """`user`: whom a gateway that runs as root becomes for it; None where it runs as somebody else.
    `largest_file` is in bytes, and so is `largest_process`, what a process that a command starts may allocate."""

    user: int | None
    largest_file: int
    largest_process: int


def programs(box: Box) -> tuple[str, ...]:
    """What must be installed."""
    return (*enclosure.programs(box.user), *_PROGRAMS)


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
    # Where the conversation stands there in root's first step, the second finds it under what it puts over the home.
    lent = (Shown(str(talk), _TALK, writable=True),) if talk and box.user is not None else ()
    shown = (*SYSTEM, Shown(str(cli), _CLI), Shown(str(work), WORK, writable=True), *lent)
    own = (
        *scratch(_TMP),
        *scratch(HOME),
        *(("--bind", str(login), f"{HOME}/.claude") if login else ()),
        *(("--bind", str(talk) if box.user is None else _TALK, _TALK) if talk else ()),
        *("--chdir", WORK),
    )
    inside = ("prlimit", *of_all(box.largest_file), "--", _CLI, *arguments)
    return enclosed(box.user, shown, (HOME, _TMP), own, inside)


def limiting(box: Box) -> str:
    """What the CLI is to put before each command. Its own process cannot be limited so, for it maps 5.5 GB."""
    # The CLI quotes what stands before the last " -" as one word and leaves the rest as it is: hence the tabs.
    return "prlimit " + "\t".join((*of_one_process(box.largest_process), _SHELL, "-c"))


def variables(box: Box) -> dict[str, str]:
    """The environment that the CLI has by its box."""
    return {
        "HOME": HOME,
        "CLAUDE_CONFIG_DIR": f"{HOME}/.claude",
        "TMPDIR": _TMP,
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
