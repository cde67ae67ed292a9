"""Runs functions on a job, in a thread if the job is large. For example, hashing 30 MB takes a tenth of a second.

The hash functions release the lock of the Python interpreter, and Python code releases it every few milliseconds, so
the event loop continues while the thread runs.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from workers.core.job import ChatJob
from workers.core.job_size import estimate_job_bytes

T = TypeVar("T")

_MAX_INLINE_BYTES = 128 * 1024
# There are few threads, so that the event loop gets enough processor time.
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
    """Run a function that processes about this many bytes, and return its result.

    The function runs in a thread if there are more than 128 KiB.
    """
    if size_bytes <= _MAX_INLINE_BYTES:
        return function(*args)
    return await asyncio.get_running_loop().run_in_executor(_executor, function, *args)
