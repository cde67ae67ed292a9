"""What a session has beside its words, and loses with them: a process and a directory, and a choice of tools."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from claude_gateway.stores.tool_choices import ToolChoiceStore


class Places(Protocol):
    """The part of it that the engine has."""

    async def drop(self, owner: str, name: str) -> None: ...
    async def keep_only(self, names: Collection[tuple[str, str]]) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionWork:
    """`ttl` in seconds: so long is a choice kept for a session that is yet to begin."""

    agents: Places
    choices: ToolChoiceStore
    ttl: float
    now: Callable[[], float] = time.time

    async def drop(self, owner: str, name: str) -> None:
        await self.agents.drop(owner, name)
        await self.choices.forget(owner, name)

    async def keep_only(self, names: Collection[tuple[str, str]]) -> None:
        await self.agents.keep_only(names)
        await self.choices.sweep(self.now() - self.ttl)
