"""The process that runs tasks: `python -m claude_gateway.offload.child SOCKET SECONDS BYTES`.

It reads a pickled task from its socket and writes a pickled `Outcome`, until the socket closes. Its own timer ends it
when a task takes too much CPU time: the default action of SIGPROF.
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

from claude_gateway.errors import ApiError
from claude_gateway.offload.memory import give_back
from claude_gateway.offload.outcome import Outcome

# The tasks are about these. They are imported before the first one comes.
from claude_gateway.reading import debugging, tasks  # noqa: F401

# A collection after a smaller task would take longer than the task.
_COLLECTED_BYTES = 256 * 1024


def main() -> None:
    descriptor, seconds, limit = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # Collections in the middle of a task multiply its time: it makes a million objects and no cycle.
    gc.disable()
    connection = Connection(descriptor)
    while True:
        try:
            task = connection.recv_bytes()
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = _answer(task)
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            connection.send_bytes(answer)
        except OSError:
            return
        is_large = len(task) + len(answer) > _COLLECTED_BYTES
        del task, answer
        if is_large:
            gc.collect()
            give_back()


def _answer(task: bytes) -> bytes:
    began = time.process_time()
    try:
        outcome = _outcome(task)
        told = replace(outcome, seconds=time.process_time() - began)
        return pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(Outcome(is_out_of_memory=True, seconds=time.process_time() - began))


def _outcome(task: bytes) -> Outcome:
    try:
        work, arguments = pickle.loads(task)  # noqa: S301 - the gateway itself wrote it
        return Outcome(work(*arguments))
    except ApiError as error:
        return Outcome(error=error)
    except MemoryError:
        return Outcome(is_out_of_memory=True)
    except Exception:
        return Outcome(fault=traceback.format_exc())


if __name__ == "__main__":
    main()
