"""Chat workers with the data that their pool keeps about them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from workers.core.job import find_group
from workers.pool.conversation_use import ConversationUse
from workers.pool.selection import Phase, WorkerSnapshot
from workers.worker.chat_worker import ChatWorker


@dataclass(slots=True, eq=False)
class PooledWorker:
    """A chat worker in the pool.

    Attributes:
        id: The id of the worker in the pool.
        worker: The worker.
        login: The name of the login that the process uses.
        use: The use of the conversation that the process holds. For a spare, `last_used_at` is the start of the
            process.
        phase: The phase of the worker.
        tenant: The tenant of the process, or None if the process is a spare.
        key_id: The API key of the last job, or None if the process is a spare.
    """

    id: int
    worker: ChatWorker
    login: str
    use: ConversationUse
    phase: Phase = Phase.STARTING
    tenant: str | None = None
    key_id: str | None = None

    @property
    def conversation_key(self) -> str | None:
        """The key of the conversation that the process holds or will hold after its recovery, or None."""
        transcript = self.worker.transcript
        return transcript.conversation_key or transcript.repaired_conversation_key

    @property
    def group(self) -> str | None:
        """The group of keys to which the process belongs. None if it belongs to one key or is a spare."""
        return find_group(self.tenant) if self.tenant else None

    def take_snapshot(self) -> WorkerSnapshot:
        """Return the present state of the worker for the selection."""
        return WorkerSnapshot(
            self.id,
            self.phase,
            self.tenant,
            self.worker.model,
            self.worker.system_prompt_was_set,
            self.use,
            self.conversation_key,
            self.worker.transcript.previous_conversation_key,
            self.login,
        )


class WorkerSet:
    """The workers of a pool, oldest first, and an event for each change."""

    def __init__(self) -> None:
        self._workers: dict[int, PooledWorker] = {}
        self._last_id = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[PooledWorker]:
        return iter(list(self._workers.values()))

    def __contains__(self, pooled: PooledWorker) -> bool:
        return pooled.id in self._workers

    def __getitem__(self, id_: int) -> PooledWorker:
        return self._workers[id_]

    def add(self, worker: ChatWorker, login: str, now: float) -> PooledWorker:
        """Add a worker that starts now, and give it an id."""
        self._last_id += 1
        pooled = self._workers[self._last_id] = PooledWorker(self._last_id, worker, login, ConversationUse(now))
        return pooled

    def discard(self, pooled: PooledWorker) -> None:
        """Remove a worker, if it is in the set."""
        self._workers.pop(pooled.id, None)

    def take_snapshots(self) -> list[WorkerSnapshot]:
        """Return the present state of every worker for the selection."""
        return [pooled.take_snapshot() for pooled in self._workers.values()]

    def notify_changed(self) -> None:
        """Wake every task that waits in `wait_changed`."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_changed(self) -> None:
        """Wait until the set or the state of a worker changes."""
        await self._changed.wait()
