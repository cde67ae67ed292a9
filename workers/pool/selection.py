"""Selection of a worker for a job, based on the present state of all workers. No I/O."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from workers.conversation.prefix_keys import PrefixKeys
from workers.core.job import ChatJob
from workers.pool.conversation_use import ConversationUse

# The number of processes in which one tenant may keep conversations that were never continued. More single questions do
# not start more processes.
MAX_SINGLE_QUESTIONS_PER_TENANT = 8
# The time without a job after which a tenant with more processes may take the process of another tenant.
_FAIR_IDLE_SECONDS = 300.0


class Phase(Enum):
    """The state of a worker in its pool."""

    STARTING = auto()
    READY = auto()
    BUSY = auto()
    RECOVERING = auto()


# A single question that follows the end of another one within this time comes from a program that sends many of them.
_BURST_SECONDS = 0.25
IDLE_PHASES = (Phase.READY, Phase.RECOVERING)


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """The state of a worker at one moment.

    Attributes:
        id: The id of the worker in the pool.
        phase: The phase of the worker.
        tenant: The tenant of the process (`ChatJob.tenant`), or None if the process is a spare.
        model: The model to which the worker is set.
        system_prompt_was_set: Whether the worker has had a system prompt, which can be changed but not removed.
        use: The use of the conversation that the worker holds. For a spare, `last_used_at` is the start of the process.
        conversation_key: The key of the conversation that the worker holds or will hold after its recovery, or None if
            there is no conversation or its content is unknown.
        previous_conversation_key: The key of the same conversation without its last user turn and reply.
        login: The name of the login that the process uses.
    """

    id: int
    phase: Phase
    tenant: str | None
    model: str
    system_prompt_was_set: bool
    use: ConversationUse
    conversation_key: str | None = None
    previous_conversation_key: str | None = None
    login: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the worker holds no conversation."""
        return self.conversation_key is None and self.previous_conversation_key is None

    @property
    def is_idle(self) -> bool:
        """Whether the worker belongs to a tenant and runs no job."""
        return self.tenant is not None and self.phase in IDLE_PHASES


@dataclass(frozen=True, slots=True)
class UseWorker:
    """The decision to run the job in this worker."""

    id: int


@dataclass(frozen=True, slots=True)
class EvictWorker:
    """The decision to end this worker, so that another process can start, and then to select again."""

    id: int


@dataclass(frozen=True, slots=True)
class WaitForStart:
    """The decision to wait for a process that starts. The pool starts one if not enough processes start already."""


@dataclass(frozen=True, slots=True)
class WaitForWorker:
    """The decision to wait until the state of a worker changes, and then to select again."""


Decision = UseWorker | EvictWorker | WaitForStart | WaitForWorker


@dataclass(frozen=True, slots=True)
class PoolState:
    """The state of the pool at one moment.

    Attributes:
        workers: The state of every worker.
        capacity: The maximum number of processes.
        now: The present time, by the clock of `ConversationUse`.
        spare_count: The number of spares that the pool should have.
        worker_count: The maximum number of jobs that run at the same time.
        awaited_logins: The logins of the jobs that wait for a process which is starting.
        waiting_count: The number of other jobs with the same login that wait for a process which is starting.
    """

    workers: Sequence[WorkerSnapshot]
    capacity: int
    now: float
    spare_count: int = 0
    waiting_count: int = 0
    worker_count: int = 1
    awaited_logins: frozenset[str] = frozenset()

    @property
    def is_full(self) -> bool:
        """Whether no further process may start."""
        return len(self.workers) >= self.capacity

    def retention_rank(self, worker: WorkerSnapshot) -> tuple[bool, bool, float]:
        """Return the rank of a worker. The pool gives up the worker with the lowest rank first."""
        return (not worker.is_empty, *worker.use.retention_rank(self.now))

    def find_evictable(self, tenant: str) -> WorkerSnapshot | None:
        """Return the process that a tenant may take from another tenant, or None.

        A tenant may take an idle process of a tenant that has more processes. A tenant with less than its share may
        also take a process that has been idle for long. A tenant without a process may take any idle process, first of
        the tenants with several processes.
        """
        counts = Counter(worker.tenant for worker in self.workers)
        own_count = counts[tenant]
        fair_count = self.capacity // max(1, len(counts))
        candidates = [
            worker
            for worker in self.workers
            if worker.is_idle
            and worker.tenant != tenant
            and (
                own_count == 0
                or counts[worker.tenant] > own_count
                or (own_count < fair_count and self.now - worker.use.last_used_at > _FAIR_IDLE_SECONDS)
            )
        ]
        if own_count == 0:
            candidates = [worker for worker in candidates if counts[worker.tenant] > 1] or candidates
        return min(candidates, key=self.retention_rank, default=None)


def select_worker(
    job: ChatJob,
    prefix_keys: PrefixKeys,
    state: PoolState,
    *,
    login: str = "",
    is_known: bool = False,
    superseded_id: int | None = None,
) -> Decision:
    """Select a worker for a job that holds a slot.

    A process never serves two tenants or two logins. A job that continues no conversation in a process gets an empty
    process, then a spare, then the process of a conversation that was never continued, then a new process. Only if
    nothing else is left, it gets the process of a conversation that its client has continued.

    Args:
        job: The job.
        prefix_keys: The prefix keys of the job's conversation.
        state: The state of the pool.
        login: The name of the login with which the job runs.
        is_known: Whether a process held the conversation of the job before.
        superseded_id: The id of an idle worker whose conversation the job's conversation supersedes, or None.
    """
    workers = [worker for worker in state.workers if worker.login == login]
    own = [worker for worker in workers if worker.tenant == job.tenant]
    if (decision := _find_worker_with_conversation(prefix_keys, own)) is not None:
        return decision
    own = [worker for worker in own if _can_serve(worker, job)]
    if superseded := [worker for worker in own if worker.id == superseded_id]:
        return UseWorker(superseded[0].id) if superseded[0].phase is Phase.READY else WaitForWorker()
    own_ready = [worker for worker in own if worker.phase is Phase.READY]
    if empty := [worker for worker in own_ready if worker.is_empty]:
        return UseWorker(max(empty, key=_make_match_rank(job)).id)
    single_questions = [worker for worker in own_ready if not worker.use.continued_count]
    spares = [worker for worker in workers if worker.tenant is None and worker.phase is Phase.READY]
    is_burst = not is_known and any(_has_just_answered(worker, state.now) for worker in own)
    may_take_spare = is_known or not single_questions
    if is_burst:
        may_take_spare = len(own) < state.worker_count
    if spares and (may_take_spare or (not is_burst and _may_take_spare(job, state, single_questions, spares))):
        return UseWorker(max(spares, key=lambda worker: (worker.model == job.model, -worker.id)).id)
    if single_questions and is_burst:
        # The process that was used last is the fastest, because its code and memory are in the caches.
        return UseWorker(max(single_questions, key=_make_match_rank(job)).id)
    if single_questions:
        return UseWorker(min(single_questions, key=lambda worker: _rank_replacement(worker, job, state)).id)
    if (is_burst or not own_ready) and any(worker.phase is Phase.RECOVERING for worker in own):
        return WaitForWorker()
    replaceable = min(own_ready, key=state.retention_rank, default=None)
    return _start_or_evict(job, state, workers, replaceable)


def _has_just_answered(worker: WorkerSnapshot, now: float) -> bool:
    """Return whether a single question in this worker has ended a moment ago."""
    is_single = worker.is_idle and not worker.is_empty and not worker.use.continued_count
    return is_single and now - worker.use.last_used_at < _BURST_SECONDS


def _may_take_spare(
    job: ChatJob, state: PoolState, single_questions: Sequence[WorkerSnapshot], spares: Sequence[WorkerSnapshot]
) -> bool:
    """Return whether a job may take a spare although it could replace a conversation that was never continued.

    The last spares of a full pool are for other tenants, if there are any.
    """
    if len(single_questions) >= MAX_SINGLE_QUESTIONS_PER_TENANT:
        return False
    has_other_tenants = any(worker.tenant not in (None, job.tenant) for worker in state.workers)
    return not has_other_tenants or not state.is_full or len(spares) > state.spare_count


def _start_or_evict(
    job: ChatJob, state: PoolState, workers: Sequence[WorkerSnapshot], replaceable: WorkerSnapshot | None
) -> Decision:
    """Return how a job gets a process that must start first, or the decision to replace a conversation.

    Args:
        job: The job.
        state: The state of the pool.
        workers: The workers with the login of the job.
        replaceable: The worker of the tenant whose conversation the job would replace, or None if there is none. The
            client has continued this conversation before.
    """
    starting_count = sum(worker.tenant is None and worker.phase is Phase.STARTING for worker in workers)
    if starting_count > state.waiting_count or not state.is_full:
        return WaitForStart()
    victim = state.find_evictable(job.tenant)
    if replaceable is not None:
        is_better = victim is not None and state.retention_rank(victim) < state.retention_rank(replaceable)
        return EvictWorker(victim.id) if victim is not None and is_better else UseWorker(replaceable.id)
    if victim is None:
        # An idle process of the tenant itself that cannot serve the job, or a spare with another login.
        others = [
            worker
            for worker in state.workers
            if worker.is_idle
            or (worker.tenant is None and worker.phase is Phase.READY and worker.login not in state.awaited_logins)
        ]
        victim = min(others, key=state.retention_rank, default=None)
    return WaitForWorker() if victim is None else EvictWorker(victim.id)


def _find_worker_with_conversation(prefix_keys: PrefixKeys, workers: Sequence[WorkerSnapshot]) -> Decision | None:
    """Find the worker that holds the conversation of a job.

    If the client retries its last turn, the worker also holds that turn and the reply to it, and is found too.
    """
    if len(prefix_keys) == 1:
        return None
    at_same_turn = [worker for worker in workers if worker.conversation_key == prefix_keys[-1]]
    one_exchange_ahead = [worker for worker in workers if worker.previous_conversation_key == prefix_keys[-1]]
    for found in (at_same_turn, one_exchange_ahead):
        by_phase = {worker.phase: worker for worker in found}
        if Phase.READY in by_phase:
            return UseWorker(by_phase[Phase.READY].id)
        if Phase.RECOVERING in by_phase:
            return WaitForWorker()  # it still reads the end of the reply that this job continues or repeats
    return None


def _make_match_rank(job: ChatJob) -> Callable[[WorkerSnapshot], tuple[bool, bool, float]]:
    """Return a function that ranks empty workers for a job.

    Workers with the same model rank highest, then workers with the same use of a system prompt. Among equal workers,
    the one that was used last ranks highest, because its memory is still in the caches.
    """
    has_system_prompt = bool(job.system)
    return lambda worker: (
        worker.model == job.model,
        worker.system_prompt_was_set == has_system_prompt,
        worker.use.last_used_at,
    )


def _rank_replacement(worker: WorkerSnapshot, job: ChatJob, state: PoolState) -> tuple[bool, tuple[bool, bool, float]]:
    """Rank a worker whose conversation was never continued. The lowest rank is replaced first.

    A worker with the same model is preferred, because it avoids two changes of the model.
    """
    return worker.model != job.model, state.retention_rank(worker)


def _can_serve(snapshot: WorkerSnapshot, job: ChatJob) -> bool:
    """Return whether the worker can run the job. A job without a system prompt needs a worker that never had one."""
    return bool(job.system) or not snapshot.system_prompt_was_set
