"""The box of a program that is an MCP server: what it sees, what it is given, how much it may take. Pure.

It sees the system's programs, its own home, and what the operator shows to all of them; nothing of this gateway's and
no other process. The network it shares with the gateway: most such servers are there for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.mcp_servers.server import Program
from workers.enclosure import SYSTEM, Shown, enclosed, of_all, of_one_process

HOME = "/home/server"
_TMP = "/tmp"  # noqa: S108 - of the box
_LARGEST_FILE = 2**30
# Of `prlimit`: there is no such program, or it is none.
NOT_STARTED = (126, 127)


@dataclass(frozen=True, slots=True)
class ProgramBox:
    """`user`: whom a gateway that runs as root becomes for it; None where it runs as somebody else. `largest_process`
    is what one process may allocate, in bytes. `hidden` are directories within what is shown that are not."""

    user: int | None
    largest_process: int
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def boxed(box: ProgramBox, line: Sequence[str], home: Path) -> tuple[str, ...]:
    """The command line that runs `line` in the box; `home` is the directory of its own."""
    limits = (*of_all(_LARGEST_FILE), *of_one_process(box.largest_process))
    inside = ("prlimit", *limits, "--", *line)
    tmp, own = Shown(None, _TMP, writable=True), Shown(str(home), HOME, writable=True)
    return enclosed(box.user, (*SYSTEM, tmp, *_shown(box), own), (), ("--chdir", HOME), inside)


def environment(program: Program, home: str, path: str) -> dict[str, str]:
    """The whole of it."""
    return {**program.env, "PATH": path, "HOME": home, "USER": "server", "LANG": "C.UTF-8"}


def _shown(box: ProgramBox) -> Iterator[Shown]:
    """What holds another before that other, or it would cover it."""
    wanted = [Shown(path, path) for path in box.readable] + [Shown(path, path, writable=True) for path in box.writable]
    yield from sorted(wanted, key=lambda one: one.target)
    yield from (Shown(None, path) for path in box.hidden)
