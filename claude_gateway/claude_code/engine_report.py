"""What the engine says of itself."""

import asyncio
from collections.abc import Mapping
from typing import Any

from workers.engine import Engine
from workers.footprint import memory_mib
from workers.roster import Post
from workers.rss import mebibytes


class EngineReport:
    """What the health endpoints want to know, asked of the engine. The CLI's own words of its login outlive
    the worker that said them."""

    def __init__(self, engine: Engine) -> None:
        self._pool = engine.pool
        self._scheduler = engine.scheduler
        self._agents = engine.agents
        self._agent_scheduler = engine.agent_scheduler
        self._account: Mapping[str, Any] = {}
        self.cli_version = ""
        self.models: list[dict[str, Any]] = []
        self.refresh()

    def refresh(self) -> None:
        if (worker := self._pool.ready_worker()) is not None:
            self._account = worker.protocol.account
            self.cli_version = worker.protocol.version
            self.models = worker.protocol.models

    @property
    def account(self) -> Mapping[str, Any]:
        self.refresh()
        return self._account

    @property
    def failing(self) -> bool:
        return self._pool.last_failure is not None and self._pool.ready_worker() is None

    def queue(self) -> dict[str, int]:
        return {"running": self._scheduler.running, "waiting": self._scheduler.waiting}

    def queues(self) -> dict[str, dict[str, int]]:
        """The same for each kind of job."""
        kinds = {"chat": self._scheduler, "agent": self._agent_scheduler}
        return {kind: {"running": one.running, "waiting": one.waiting} for kind, one in kinds.items()}

    async def roster(self) -> list[tuple[Post, int]]:
        """Every process, and the memory that it holds in MiB."""
        posts = [*self._pool.roster(), *self._agents.roster()]
        weigh = {"chat": mebibytes, "agent": memory_mib}
        return list(zip(posts, await asyncio.gather(*(weigh[one.kind](one.pid) for one in posts)), strict=True))

    def counts(self) -> dict[str, int]:
        return {phase.name.lower(): count for phase, count in self._pool.phases().items()}
