"""Functions that make the C library return free memory to the operating system after large requests.

The functions do nothing if the C library is not glibc.
"""

import ctypes
from collections.abc import Callable
from functools import cache

# Options of `mallopt` in glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 256 * 1024
_MAX_ARENAS = 2


def limit_retained_memory() -> None:
    """Make the C library return blocks of 256 KiB and more to the operating system as soon as the program frees them.

    By default, glibc raises this threshold of 256 KiB to the size of the largest freed block, up to 32 MiB. After one
    large request body, glibc then allocates later bodies on the heap. The freed bodies leave holes in the heap, which
    glibc never returns to the operating system. The many arenas (separate heaps) that glibc creates for threads have
    the same effect, so the function also limits the number of arenas.
    """
    if set_option := _load_function("mallopt"):
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        set_option(_M_TRIM_THRESHOLD, _LARGE_BYTES)
        set_option(_M_ARENA_MAX, _MAX_ARENAS)


def release_free_memory() -> None:
    """Make the C library return all memory that it does not use to the operating system now."""
    if trim := _load_function("malloc_trim"):
        trim(0)


@cache
def _load_function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None)
