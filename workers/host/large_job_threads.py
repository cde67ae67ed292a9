"""Runs functions that process a job. If the job is large, the function runs in a thread.

For example, the hash function needs a tenth of a second for 30 MB. The event loop continues while the thread runs,
because the hash functions release the lock of the Python interpreter, and Python code releases the lock every few
milliseconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from workers.core.job import ChatJob
from workers.core.job_size import estimate_job_bytes

T = TypeVar("T")

_MAX_INLINE_BYTES = 128 * 1024
# The number of threads is small, so that the event loop gets enough processor time.
_executor = ThreadPoolExecutor(2, thread_name_prefix="large-job")


async def run_for_job(job: ChatJob, function: Callable[..., T], *args: Any) -> T:
    """Run a function that processes the whole job, and return its result.

    For a large job, the function runs in a thread.

    Args:
        job: The job. Its size decides whether the function runs in a thread.
        function: The function to run.
        *args: The arguments of the function.
    """
    return await run_for_size(estimate_job_bytes(job), function, *args)


async def run_for_size(size_bytes: int, function: Callable[..., T], *args: Any) -> T:
    """Run a function that processes about `size_bytes` bytes, and return its result.

    If `size_bytes` is more than 128 KiB, the function runs in a thread.
    """
    if size_bytes <= _MAX_INLINE_BYTES:
        return function(*args)
    return await asyncio.get_running_loop().run_in_executor(_executor, function, *args)
