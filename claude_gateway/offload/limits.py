"""Limits on the time and memory that the gateway uses to parse requests, for each task and for each key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OffloadLimits:
    """Limits on the time and memory that the gateway uses to parse requests.

    The gateway parses large requests in separate processes, and small requests on the event loop ("inline"). A task is
    the parsing of one large request.

    Attributes:
        max_processes: Maximum number of processes. One key uses at most one process at a time.
        max_task_cpu_seconds: Maximum CPU time of one task. If a task takes longer, its process ends.
        max_task_bytes: Maximum memory of one process.
        queue_timeout_seconds: Longest time that a task waits for a process.
        max_waiting_per_key: Maximum number of waiting tasks of one key.
        key_burst_seconds: CPU time that the tasks of a key may use without a pause.
        key_refill_rate: CPU seconds that become available to a key again in each second, up to `key_burst_seconds`.
        max_idle_bytes: Maximum memory of an idle process. The pool replaces an idle process that uses more memory.
        max_inline_bytes: Maximum size of a request that the gateway parses on the event loop.
        inline_key_burst_seconds: Time on the event loop that the small requests of one key may use without a pause.
        inline_key_refill_rate: Seconds on the event loop that become available to a key again in each second.
        inline_seconds_always: If all keys together have used up their time on the event loop, only the keys that have
            recently used at most this time may still use the event loop.
        inline_total_burst_seconds: Time on the event loop that the small requests of all keys together may use without
            a pause.
        inline_total_refill_rate: Seconds on the event loop that become available to all keys together again in each
            second.
    """

    max_processes: int = 2
    max_task_cpu_seconds: float = 4.0
    max_task_bytes: int = 1024 * 2**20
    queue_timeout_seconds: float = 30.0
    max_waiting_per_key: int = 1_000
    key_burst_seconds: float = 30.0
    key_refill_rate: float = 0.5
    max_idle_bytes: int = 128 * 2**20
    max_inline_bytes: int = 32 * 1024
    inline_key_burst_seconds: float = 0.1
    inline_key_refill_rate: float = 0.05
    inline_seconds_always: float = 0.01
    inline_total_burst_seconds: float = 0.15
    inline_total_refill_rate: float = 0.25


DEFAULT_OFFLOAD_LIMITS = OffloadLimits()
