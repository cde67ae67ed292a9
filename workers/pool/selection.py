"""Selection of a worker for a job, based on the present state of all workers. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from workers.conversation.prefix_keys import PrefixKeys
from workers.core.job import ChatJob


class Phase(Enum):
    """The state of a worker in its pool."""

    STARTING = auto()
    READY = auto()
    BUSY = auto()
    RECOVERING = auto()


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """The state of a worker at one moment.

    Attributes:
        id: The id of the worker in the pool.
        phase: The phase of the worker.
        key_id: The API key to which the worker belongs, or None if no key has used the worker.
        model: The model to which the worker is set.
        system_prompt_was_set: Whether the worker has had a system prompt, which can be changed but not removed.
        last_used_at: The end of the worker's last job, by the monotonic clock.
        conversation_key: The key of the conversation that the worker holds, or None if there is no conversation or its
            content is unknown.
        previous_conversation_key: The key of the same conversation without its last user turn and reply.
    """

    id: int
    phase: Phase
    key_id: str | None
    model: str
    system_prompt_was_set: bool
    last_used_at: float
    conversation_key: str | None = None
    previous_conversation_key: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the worker holds no conversation."""
        return self.conversation_key is None and self.previous_conversation_key is None


@dataclass(frozen=True, slots=True)
class UseWorker:
    """The decision to run the job in this worker."""

    id: int


@dataclass(frozen=True, slots=True)
class EvictWorker:
    """The decision to end this worker. Another worker can then start in its slot, and the pool selects again."""

    id: int


@dataclass(frozen=True, slots=True)
class WaitForWorker:
    """The decision to wait until the state of any worker changes. Then the pool selects a worker again."""


Decision = UseWorker | EvictWorker | WaitForWorker


def select_worker(
    job: ChatJob, prefix_keys: PrefixKeys, snapshots: Sequence[WorkerSnapshot], capacity: int
) -> Decision:
    """Select a worker for a job that holds one of `capacity` slots.

    A process never serves two API keys. At most `capacity` processes belong to keys. All other processes are spares.

    Args:
        job: The job.
        prefix_keys: The prefix keys of the job's conversation.
        snapshots: The state of every worker.
        capacity: The maximum number of workers that belong to keys.
    """
    if (decision := _find_worker_with_conversation(prefix_keys, snapshots)) is not None:
        return decision
    same_key = [worker for worker in snapshots if worker.key_id == job.key_id and _can_serve(worker, job)]
    assigned = [worker for worker in snapshots if worker.key_id is not None]
    ready = [worker for worker in same_key if worker.phase is Phase.READY]
    has_system_prompt = bool(job.system)

    def rank(worker: WorkerSnapshot) -> tuple[bool, bool, float]:
        """Return a rank that is highest for the worker that fits the job best.

        A worker with the job's model ranks above workers with other models. Among workers with the same model, a worker
        that has had a system prompt ranks higher if the job has a system prompt. Among otherwise equal workers, the
        most recently used one ranks highest, because its memory is still in the caches of the processor.
        """
        return worker.model == job.model, worker.system_prompt_was_set == has_system_prompt, worker.last_used_at

    if empty := [worker for worker in ready if worker.is_empty]:
        return UseWorker(max(empty, key=rank).id)
    spares = [worker for worker in snapshots if worker.key_id is None and worker.phase is Phase.READY]
    if spares and len(assigned) < capacity:
        return UseWorker(max(spares, key=lambda worker: (worker.model == job.model, -worker.id)).id)
    if ready:
        # The job replaces the conversation of a ready worker. A worker with the same model is preferred, because it
        # avoids two switches of the model. Among these, the worker that was used least recently is selected.
        return UseWorker(min(ready, key=lambda worker: (worker.model != job.model, worker.last_used_at)).id)
    if any(worker.phase is Phase.RECOVERING for worker in same_key):
        return WaitForWorker()
    if len(assigned) >= capacity:
        idle = [worker for worker in assigned if worker.phase in (Phase.READY, Phase.RECOVERING)]
        if idle:
            return EvictWorker(min(idle, key=lambda worker: worker.last_used_at).id)
    return WaitForWorker()


def _find_worker_with_conversation(prefix_keys: PrefixKeys, snapshots: Sequence[WorkerSnapshot]) -> Decision | None:
    """Find the worker that holds the conversation of a job.

    If the client sends its last turn again, the worker already holds that turn and the reply to it. The function finds
    this worker too.
    """
    if len(prefix_keys) == 1:
        return None
    by_phase = {worker.phase: worker for worker in snapshots if worker.conversation_key == prefix_keys[-1]}
    if Phase.READY in by_phase:
        return UseWorker(by_phase[Phase.READY].id)
    if Phase.RECOVERING in by_phase:
        return WaitForWorker()  # it still reads the end of the reply that this job continues
    one_exchange_ahead = [
        worker
        for worker in snapshots
        if worker.phase is Phase.READY and worker.previous_conversation_key == prefix_keys[-1]
    ]
    return UseWorker(one_exchange_ahead[0].id) if one_exchange_ahead else None


def _can_serve(snapshot: WorkerSnapshot, job: ChatJob) -> bool:
    return bool(job.system) or not snapshot.system_prompt_was_set
