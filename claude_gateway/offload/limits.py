"""Limits for the parsing of large requests, for each task and for each key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OffloadLimits:
    """Limits for the parsing of requests.

    The pool parses large requests in separate processes, and small requests on the event loop ("inline").

    Attributes:
        max_processes: Maximum number of processes. One key uses at most one of them at a time.
        max_task_cpu_seconds: Maximum CPU time of one task. The pool kills a process whose task takes longer.
        max_task_bytes: Maximum memory of one process.
        queue_timeout_seconds: Longest time that a task waits for a process.
        max_waiting_per_key: Maximum number of waiting tasks of one key.
        key_burst_seconds: CPU time that a key may use at once.
        key_refill_rate: CPU seconds that become available to a key again in each second, up to `key_burst_seconds`.
        max_idle_bytes: The pool replaces an idle process that uses more memory than this.
        max_inline_bytes: The pool allows parsing on the event loop for requests up to this size.
        inline_key_burst_seconds: Time on the event loop that the small requests of one key may use at once.
        inline_key_refill_rate: Seconds on the event loop that become available to a key again in each second.
        inline_seconds_always: A key that has recently used no more than this time may still use the event loop after
            all keys together have used up their time.
        inline_total_burst_seconds: Time on the event loop that the small requests of all keys may use at once.
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
