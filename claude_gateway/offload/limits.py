"""What one task may cost, and what a key may spend."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OffloadLimits:
    """Limits of the processes that read large requests.

    Attributes:
        processes: How many there may be. One key has one of them at a time.
        task_seconds: CPU time of one task; a process that needs more is ended.
        task_bytes: Memory of a process.
        wait_seconds: How long a task waits for its turn.
        waiting_per_key: How many tasks of one key may wait.
        key_seconds: CPU time that a key may spend at once.
        key_share: Seconds of CPU time that a key gets back each second, up to `key_seconds`.
        idle_bytes: A process that holds more memory than this between two tasks is replaced.
        inline_bytes: What is smaller than this is read in the event loop, as long as there is time for it.
        inline_seconds: Time of the event loop that the small requests of one key may take at once.
        inline_share: Seconds of it that a key gets back each second.
        inline_seconds_always: A key that has taken no more of it is not held back by what other keys have taken.
        inline_seconds_of_all: The same for the requests of all keys together.
        inline_share_of_all: The same for them.
    """

    processes: int = 2
    task_seconds: float = 4.0
    task_bytes: int = 1024 * 2**20
    wait_seconds: float = 30.0
    waiting_per_key: int = 1_000
    key_seconds: float = 30.0
    key_share: float = 0.5
    idle_bytes: int = 128 * 2**20
    inline_bytes: int = 32 * 1024
    inline_seconds: float = 0.1
    inline_share: float = 0.05
    inline_seconds_always: float = 0.01
    inline_seconds_of_all: float = 0.15
    inline_share_of_all: float = 0.25


DEFAULT_LIMITS = OffloadLimits()
