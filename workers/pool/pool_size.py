"""Number of processes of a pool: how many may run, how many should wait as spares, and which ones to end. No I/O."""

from collections.abc import Collection, Mapping, Sequence

from workers.core.memory_state import MemoryState
from workers.core.settings import PoolSettings
from workers.pool.selection import Phase, PoolState, WorkerSnapshot

# Memory of one process, in MiB. 160 to 280 MiB were measured.
PROCESS_MEMORY_MIB = 280
# Memory of the gateway itself and of the processes that parse large requests, in MiB.
GATEWAY_MEMORY_MIB = 300
# The part of the memory that the gateway and its processes may use.
_USABLE_MEMORY_SHARE = 2 / 3
_MAX_PROCESSES = 1_000
# The time for which a spare that a job took counts as a sign that further jobs need spares.
_DEMAND_SECONDS = 2.0
# The time after which the pool ends a spare that it started because many jobs came at the same time.
_EXTRA_SPARE_SECONDS = 60.0
# The time without a job after which a process of a full pool is replaced by a missing spare.
_SPARE_IDLE_SECONDS = 60.0


def compute_capacity(settings: PoolSettings, memory: MemoryState, reserved_process_count: int = 0) -> int:
    """Return the maximum number of chat processes, including the spares.

    Args:
        settings: The settings of the pool. `max_processes` replaces the number that the memory allows.
        memory: The memory of the machine.
        reserved_process_count: The number of other processes, such as agents, for which memory must stay.
    """
    if settings.max_processes is not None:
        return max(settings.worker_count, settings.max_processes)
    usable_mib = _USABLE_MEMORY_SHARE * memory.total_mib - GATEWAY_MEMORY_MIB
    count = int(usable_mib // PROCESS_MEMORY_MIB) - reserved_process_count
    return max(settings.worker_count, min(count, _MAX_PROCESSES))


def count_kept_spares(settings: PoolSettings, workers: Sequence[WorkerSnapshot], last_job_at: float, now: float) -> int:
    """Return the number of processes without a tenant that the pool keeps ready.

    While clients send jobs, the pool has at least `worker_count` + `spare_count` processes, so that jobs can run at the
    same time without waiting for a start. Without a job for `idle_seconds`, only the spares stay.
    """
    if now - last_job_at >= settings.idle_seconds:
        return settings.spare_count
    used_count = sum(worker.tenant is not None for worker in workers)
    return max(settings.spare_count, settings.worker_count + settings.spare_count - used_count)


def count_wanted_spares(
    kept_count: int,
    settings: PoolSettings,
    workers: Sequence[WorkerSnapshot],
    expected_tenants: Collection[str],
    spare_use_times: Collection[float],
    now: float,
) -> int:
    """Return the number of processes without a tenant that the pool should have now.

    Args:
        kept_count: The number of processes without a tenant that the pool keeps ready in any case.
        settings: The settings of the pool.
        workers: The state of every worker.
        expected_tenants: The tenants of the jobs that wait for a slot.
        spare_use_times: The times at which jobs took a spare.
        now: The present time.
    """
    tenants = {worker.tenant for worker in workers}
    missing_tenant_count = sum(tenant not in tenants for tenant in expected_tenants)
    demand = sum(now - used_at < _DEMAND_SECONDS for used_at in spare_use_times) if settings.spare_count else 0
    ahead_count = min(
        settings.spare_count + missing_tenant_count + demand, settings.worker_count + settings.spare_count
    )
    return max(kept_count, ahead_count)


def find_worker_to_end_for_spare(state: PoolState, expected_tenants: Collection[str]) -> int | None:
    """Return the id of the idle process that a full pool should replace by a spare, or None.

    A tenant whose jobs wait for a slot needs a process soon. If no tenant waits, only a process without a job for some
    time gives its memory to a missing spare.
    """
    if not state.is_full:
        return None
    spare_count = sum(worker.tenant is None for worker in state.workers)
    tenants = {worker.tenant for worker in state.workers}
    missing_tenants = [tenant for tenant in expected_tenants if tenant not in tenants]
    if len(missing_tenants) > spare_count:
        victim = state.find_evictable(missing_tenants[0])
        return victim.id if victim else None
    if spare_count >= state.spare_count:
        return None
    idle = [
        worker
        for worker in state.workers
        if worker.is_idle and state.now - worker.use.last_used_at >= _SPARE_IDLE_SECONDS
    ]
    return min(idle, key=state.retention_rank).id if idle else None


def find_unneeded_workers(
    state: PoolState, kept_spare_count: int, idle_seconds: float, *, is_scarce: bool
) -> Mapping[int, str]:
    """Return the ids of the processes that the pool should end, each with the reason for the log.

    The pool ends every process without a job for `idle_seconds`, except for the spares that it keeps. If the memory is
    scarce, it ends all processes without a job at once, except for the spares. If it has more processes than its
    capacity, it first ends further spares, then the processes that were used least recently.
    """
    ready = [worker for worker in state.workers if worker.phase is Phase.READY]
    oldest_first = sorted(ready, key=lambda worker: worker.use.last_used_at)
    spares = [worker for worker in oldest_first if worker.tenant is None]
    # The spares that started last stay.
    kept_count = state.spare_count if is_scarce else kept_spare_count
    extra_spares = spares[: max(0, len(spares) - kept_count)]
    candidates = [*extra_spares, *(worker for worker in oldest_first if worker.tenant is not None)]
    if is_scarce:
        return {worker.id: "the machine is short of memory" for worker in candidates}
    surplus_count = max(0, len(state.workers) - state.capacity)
    unneeded = {worker.id: "there is memory for fewer processes" for worker in candidates[:surplus_count]}
    for worker in candidates[surplus_count:]:
        max_seconds = idle_seconds if worker.tenant is not None else min(idle_seconds, _EXTRA_SPARE_SECONDS)
        if state.now - worker.use.last_used_at >= max_seconds:
            unneeded[worker.id] = f"it had no job for {max_seconds:.0f} s"
    return unneeded
