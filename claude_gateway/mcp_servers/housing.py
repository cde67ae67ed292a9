"""Where the programs that are MCP servers live: each in a box and with a home of its own that outlives it, and a record
by which the next gateway ends it where this one is killed."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from claude_gateway.mcp_servers.connection import Unreachable
from claude_gateway.mcp_servers.program_box import HOME, ProgramBox, boxed, environment
from claude_gateway.mcp_servers.server import Program
from workers import enclosure, sandbox_check
from workers.homes import Homes
from workers.remover import Remover

_log = logging.getLogger(__name__)

_HOMES = "homes"
_USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"

# Of a process to start: its command line, and the whole of its environment.
Start = tuple[tuple[str, ...], dict[str, str]]


class Housing:
    """`box`: what programs run in, None to run them without; `must_box`: or not at all, where it cannot be made. What
    is in `secret` directories no program sees in its box. Blocking calls run in threads."""

    def __init__(
        self, base: Path, box: ProgramBox | None = None, *, must_box: bool = True, secret: Sequence[Path] = ()
    ) -> None:
        self._base = base
        self._secret = secret
        self._box = box
        self._must_box = must_box
        self._can_box = False
        self.records = Homes(base)
        self._remover = Remover(base)

    async def open(self) -> None:
        """End what a dead gateway left. Raises `OSError`, or what `workers.homes` does."""
        await self.records.open()
        await asyncio.to_thread(self._remover.open)
        if self._box is not None:
            self._box = await asyncio.to_thread(_hiding, self._box, self._secret)

    def close(self) -> None:
        self._remover.close()
        self.records.close()

    async def home(self, owner: str, name: str) -> Path:
        user = self._box.user if self._box else None
        return await asyncio.to_thread(_made, self._home(owner, name), user)

    async def start(self, program: Program, home: Path) -> Start:
        """How to start a program. Raises `Unreachable` where it may only be in a box and none can be made."""
        path = os.environ.get("PATH", _USUAL_PATH)
        if self._box is not None:
            lacking = await self.without_box(home)
            if lacking is None:
                return boxed(self._box, program.line, home), environment(program, HOME, path)
            if self._must_box:
                raise Unreachable(f"programs run in a box only, and here is none: {lacking}")
            _log.warning("an MCP server runs without a box: %s", lacking)
        return program.line, environment(program, str(home), path)

    async def without_box(self, home: Path) -> str | None:
        """Why no box can be made here, None where one can."""
        if self._box is None:
            return "MCP_BOX is off"
        if not self._can_box:
            lacking = await sandbox_check.not_installed(enclosure.programs(self._box.user))
            lacking = lacking or await sandbox_check.tried(boxed(self._box, ("true",), home))
            if lacking is not None:
                return lacking
            self._can_box = True
        return None

    async def remove(self, owner: str, name: str) -> None:
        """It is gone when this returns, however much a program left there."""
        await asyncio.to_thread(self._remover.remove, self._home(owner, name))

    def _home(self, owner: str, name: str) -> Path:
        digest = hashlib.sha256(f"{len(owner)} {owner} {name}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._base / _HOMES / digest[:40]


def _hiding(box: ProgramBox, secret: Sequence[Path]) -> ProgramBox:
    """By whatever links it is that the one is within the other."""
    hidden = []
    for shown in map(Path, (*box.readable, *box.writable)):
        real = shown.resolve()
        inside = (path.resolve() for path in secret if path.is_dir())
        hidden += [str(shown / path.relative_to(real)) for path in inside if path.is_relative_to(real)]
    return replace(box, hidden=tuple(hidden))


def _made(home: Path, user: int | None) -> Path:
    home.parent.mkdir(mode=0o700, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    if user is not None and home.stat().st_uid != user:
        _give(home, user)
    return home


def _give(home: Path, user: int) -> None:
    """With all that a program left there that ran as another user."""
    for directory, _, files in os.walk(home, topdown=False):
        for path in (*(Path(directory, name) for name in files), Path(directory)):
            os.chown(path, user, user, follow_symlinks=False)
