"""A chat worker with the data that its pool keeps about it."""

from dataclasses import dataclass

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
