"""Main module of a process that parses requests: `python -m claude_gateway.offload.child SOCKET SECONDS BYTES`.

SOCKET is the file descriptor of a socket, SECONDS is the CPU time that one task may use, and BYTES is the memory that
the process may use. The process reads a pickled task from the socket, runs it, and writes a pickled `TaskOutcome`. It
repeats this until the gateway closes the socket. If a task takes too much CPU time, a timer ends the process by the
signal SIGPROF.
"""

import gc
import pickle
import resource
import signal
import sys
import time
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection

# The process imports the modules that the tasks need before the first task arrives.
from claude_gateway.core.errors import ApiError
from claude_gateway.offload.memory import release_free_memory
from claude_gateway.offload.outcome import TaskOutcome
from claude_gateway.request_reading import tasks  # noqa: F401

# The process collects garbage only after a task with at least this many bytes. After a smaller task, the collection
# would take longer than the task itself.
_GC_THRESHOLD_BYTES = 256 * 1024


def main() -> None:
    """Run tasks until the gateway closes the socket."""
    descriptor, max_cpu_seconds, max_bytes = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    max_bytes = max_bytes if hard_limit == resource.RLIM_INFINITY else min(max_bytes, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes, max_bytes))
    # Garbage collections would multiply the time of a task, because a task creates up to a million objects. The
    # collections would free nothing, because a task creates no reference cycles.
    gc.disable()
    connection = Connection(descriptor)
    while True:
        try:
            task = connection.recv_bytes()
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_PROF, max_cpu_seconds)
        outcome = _run_pickled_task(task)
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            connection.send_bytes(outcome)
        except OSError:
            return
        is_large = len(task) + len(outcome) > _GC_THRESHOLD_BYTES
        del task, outcome
        if is_large:
            gc.collect()
            release_free_memory()


def _run_pickled_task(task: bytes) -> bytes:
    started_at = time.process_time()
    try:
        outcome = _execute_task(task)
        return pickle.dumps(replace(outcome, cpu_seconds=time.process_time() - started_at), pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(TaskOutcome(is_out_of_memory=True, cpu_seconds=time.process_time() - started_at))


def _execute_task(task: bytes) -> TaskOutcome:
    try:
        function, arguments = pickle.loads(task)  # noqa: S301 - written by the gateway itself
        return TaskOutcome(function(*arguments))
    except ApiError as error:
        return TaskOutcome(error=error)
    except MemoryError:
        return TaskOutcome(is_out_of_memory=True)
    except Exception:
        return TaskOutcome(traceback=traceback.format_exc())


if __name__ == "__main__":
    main()
