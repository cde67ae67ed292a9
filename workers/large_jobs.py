"""Steps over a whole job, of a large one in a thread: hashing 30 MB takes a tenth of a second.

The hashes release the interpreter, and the rest is Python, which gives it up every few milliseconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from workers.job import ChatJob
from workers.job_size import job_bytes

T = TypeVar("T")

_MAX_INLINE_BYTES = 128 * 1024
# Few, so that the event loop keeps its turn.
_threads = ThreadPoolExecutor(2, thread_name_prefix="large-job")


async def over(job: ChatJob, step: Callable[..., T], *arguments: Any) -> T:
    """Return what the step makes of its arguments, which are all about this job."""
    return await apart(job_bytes(job), step, *arguments)


async def apart(size: int, step: Callable[..., T], *arguments: Any) -> T:
    """The same for a step over `size` bytes, roughly."""
    if size <= _MAX_INLINE_BYTES:
        return step(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_threads, step, *arguments)
