"""What the engine says of itself."""

from collections.abc import Mapping
from typing import Any

from workers.engine import Engine


class EngineReport:
    """What the health endpoints want to know, asked of the engine. The CLI's own words of its login outlive
    the worker that said them."""

    def __init__(self, engine: Engine) -> None:
        self._pool = engine.pool
        self._scheduler = engine.scheduler
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

    def counts(self) -> dict[str, int]:
        return {phase.name.lower(): count for phase, count in self._pool.phases().items()}
