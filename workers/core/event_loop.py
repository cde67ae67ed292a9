"""The clock of the running event loop."""

import asyncio


def loop_time() -> float:
    """Return the time of the running event loop in seconds. All deadlines use this clock."""
    return asyncio.get_running_loop().time()
