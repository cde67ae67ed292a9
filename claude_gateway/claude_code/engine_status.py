"""Reads the state of the engine (worker processes and job queue) for the health endpoints."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from workers.engine import Engine
from workers.host.memory_usage import measure_process_tree_mib, read_rss_mib
from workers.pool.process_info import ProcessInfo


class EngineStatus:
    """Reads the state of the engine, which runs the worker processes.

    The object keeps the login and version that a worker reported, even after that worker has ended.

    Attributes:
        cli_version: The version of the CLI.
        models: The models that the CLI reported.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._account: Mapping[str, Any] = {}
        self.cli_version = ""
        self.models: list[dict[str, Any]] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the login, version and models from a running worker, if a worker is running."""
        if (info := self._engine.find_cli_info()) is not None:
            self._account = info.account
            self.cli_version = info.version
            self.models = list(info.models)

    @property
    def account(self) -> Mapping[str, Any]:
        """The login as the CLI reported it."""
        self.refresh()
        return self._account

    @property
    def is_failing(self) -> bool:
        """True while no worker is running and the last start of a worker failed."""
        return self._engine.is_failing

    @property
    def chat_capacity(self) -> int:
        """The maximum number of chat processes, including the spares."""
        return self._engine.chat_pool.capacity

    def queue_counts(self) -> dict[str, int]:
        """Count the running and waiting chats."""
        return asdict(self._engine.count_jobs()["chat"])

    def queue_counts_by_kind(self) -> dict[str, dict[str, int]]:
        """Count the running and waiting jobs for each kind of worker."""
        return {kind: asdict(counts) for kind, counts in self._engine.count_jobs().items()}

    async def list_processes(self) -> list[tuple[ProcessInfo, int]]:
        """List every process with its memory usage in MiB."""
        processes = self._engine.processes()
        measure_functions = {"chat": read_rss_mib, "agent": measure_process_tree_mib}
        sizes_mib = await asyncio.gather(*(measure_functions[process.kind](process.pid) for process in processes))
        return list(zip(processes, sizes_mib, strict=True))

    def phase_counts(self) -> dict[str, int]:
        """Count the chat workers in each phase."""
        return self._engine.count_chat_phases()
