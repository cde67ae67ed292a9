"""Where the programs that are MCP servers live: each with a home of its own that outlives it, and a record by which the
next gateway ends it where this one is killed."""

import asyncio
import hashlib
import shutil
from pathlib import Path

from workers.homes import Homes

_HOMES = "homes"


class Housing:
    """Blocking calls run in threads."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self.records = Homes(base)

    async def open(self) -> None:
        """End what a dead gateway left. Raises `OSError`, or what `workers.homes` does."""
        await self.records.open()

    def close(self) -> None:
        self.records.close()

    async def home(self, owner: str, name: str) -> Path:
        return await asyncio.to_thread(_made, self._home(owner, name))

    async def remove(self, owner: str, name: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._home(owner, name), ignore_errors=True)

    def _home(self, owner: str, name: str) -> Path:
        digest = hashlib.sha256(f"{len(owner)} {owner} {name}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._base / _HOMES / digest[:40]


def _made(home: Path) -> Path:
    home.parent.mkdir(mode=0o700, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    return home
