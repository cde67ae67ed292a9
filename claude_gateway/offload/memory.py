"""Memory that the C library keeps after large requests, given back to the system.

Where the C library is another than glibc, none of this happens.
"""

import ctypes
from collections.abc import Callable
from functools import cache

# glibc's numbers for `mallopt`.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 256 * 1024
_ARENAS = 2


def keep_little() -> None:
    """Have blocks of 256 KiB and more returned as soon as they are free.

    By itself glibc raises that bound to the size of the largest block that was freed, 32 MiB at most; behind one large
    body, others leave holes in the heap that stay for good. So do the many arenas that it makes for threads.
    """
    if set_option := _function("mallopt"):
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        set_option(_M_TRIM_THRESHOLD, _LARGE_BYTES)
        set_option(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return what is free now."""
    if trim := _function("malloc_trim"):
        trim(0)


@cache
def _function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None)
