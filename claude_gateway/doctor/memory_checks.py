"""Functions that compare the memory of the machine with the processes that the settings allow. No I/O."""

from dataclasses import replace

from claude_gateway.config import Settings
from claude_gateway.doctor.result import CheckResult, failed_result, ok_result, warning_result
from workers.core.memory_state import MemoryState
from workers.pool.pool_size import PROCESS_MEMORY_MIB, compute_capacity

# The memory usage of a worker grows by half after its start, while the worker runs jobs.
_MEMORY_GROWTH_FACTOR = 1.5


def evaluate_memory(settings: Settings, worker_mib: float, available_mib: float) -> CheckResult:
    """Compare the memory that all workers need with the memory that they can use.

    Args:
        settings: The settings, which include the numbers of workers.
        worker_mib: Memory usage of one worker after its start, in MiB.
        available_mib: Memory in MiB that all workers together may use, including workers that already run.
    """
    subject = "Memory"
    chats = settings.chat_workers + settings.chat_spare_workers
    agents = settings.agent_workers + settings.agent_spare_workers
    required_mib = round((chats + agents) * worker_mib * _MEMORY_GROWTH_FACTOR)
    detail = (
        f"{chats} processes for chats and {agents} with tools need about {required_mib:,} MiB "
        f"({worker_mib:.0f} MiB each after the start); {available_mib:,.0f} MiB are available"
    )
    if required_mib > available_mib:
        return failed_result(subject, detail, "reduce CHAT_WORKERS, AGENT_WORKERS or spares, or add memory")
    return ok_result(subject, detail)


def evaluate_chat_processes(settings: Settings, memory: MemoryState) -> CheckResult:
    """Return how many chat processes the gateway may keep, and whether as many fit into the memory.

    Args:
        settings: The settings, which include the numbers of workers.
        memory: The memory of the machine.
    """
    subject = "Chat processes"
    pool, agents = settings.pool_settings(), settings.agent_workers + settings.agent_spare_workers
    capacity = compute_capacity(pool, memory, agents)
    fitting_count = _count_fitting(settings, memory, agents)
    owner = "control group" if memory.is_group_limit else "machine"
    source = "MAX_CHAT_PROCESSES" if pool.max_processes is not None else "the memory"
    detail = (
        f"at most {capacity:,}, determined by {source}; the {owner} has {memory.total_mib:,} MiB, which hold "
        f"{fitting_count:,} ({PROCESS_MEMORY_MIB} MiB each) beside {agents} with tools"
    )
    first_count = pool.worker_count + pool.spare_count
    needed_count = first_count if pool.max_processes is None else capacity
    if needed_count <= fitting_count:
        return ok_result(subject, detail)
    if pool.max_processes is not None and first_count <= fitting_count:
        return warning_result(subject, detail, f"set MAX_CHAT_PROCESSES={fitting_count}, or add memory")
    return warning_result(subject, detail, _suggest_settings(settings, memory, fitting_count))


def _count_fitting(settings: Settings, memory: MemoryState, agent_count: int) -> int:
    """Return the number of chat processes that fit into the memory beside the processes with tools."""
    return compute_capacity(replace(settings.pool_settings(), worker_count=0, max_processes=None), memory, agent_count)


def _suggest_settings(settings: Settings, memory: MemoryState, fitting_count: int) -> str:
    """Return the advice for a machine that is too small for the workers and spares that the settings name."""
    values = {}
    if fitting_count < 1:
        fitting_count = _count_fitting(settings, memory, 1)
        values = {"AGENT_WORKERS": 1, "AGENT_SPARE_WORKERS": 0}
    workers = max(1, min(settings.chat_workers, fitting_count))
    spares = max(0, min(settings.chat_spare_workers, fitting_count - workers))
    values = {"CHAT_WORKERS": workers, "CHAT_SPARE_WORKERS": spares, **values}
    if settings.max_chat_processes is not None:
        values["MAX_CHAT_PROCESSES"] = max(1, fitting_count)
    changes = [f"{name}={value}" for name, value in values.items() if getattr(settings, name.lower()) != value]
    if not changes:
        return "add memory before clients send jobs with built-in tools"
    return f"set {', '.join(changes)}, or add memory"
