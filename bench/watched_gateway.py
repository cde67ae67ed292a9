"""Run a gateway with a monitor of its event loop until stdin ends: `python -m bench.watched_gateway`.

For each line on stdin it prints the longest stall since the previous line, in milliseconds.
"""

import asyncio
import os
import sys
import time

import uvloop

from claude_gateway.app import running_gateway
from claude_gateway.config.loading import load_serve_settings
from claude_gateway.observability.log.formatters import configure_logging
from claude_gateway.offload.memory import limit_retained_memory
from workers.host import priority

_TICK_SECONDS = 0.001


class LoopMonitor:
    """A task that wakes up every millisecond and measures its delay.

    Attributes:
        longest_stall_seconds: The longest delay. Time in which the thread was ready to run and had no processor is not
            included, because the load of the machine causes it.
    """

    def __init__(self) -> None:
        self.longest_stall_seconds = 0.0
        self._schedstat_fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    async def run(self) -> None:
        """Measure delays until the task is cancelled."""
        slept_at, waited_seconds = time.perf_counter(), self._read_run_delay_seconds()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now, waited_until_now = time.perf_counter(), self._read_run_delay_seconds()
            stall = now - slept_at - _TICK_SECONDS - (waited_until_now - waited_seconds)
            self.longest_stall_seconds = max(self.longest_stall_seconds, stall)
            slept_at, waited_seconds = now, waited_until_now

    def _read_run_delay_seconds(self) -> float:
        """Return the seconds for which this thread has waited for a processor since its start."""
        return int(os.pread(self._schedstat_fd, 100, 0).split()[1]) / 1e9


async def _serve() -> None:
    settings = load_serve_settings().settings
    configure_logging(settings.log_level, settings.log_format)
    monitor = LoopMonitor()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with running_gateway(settings) as url:
        print(f"serving on {url}", file=sys.stderr, flush=True)
        ticks = asyncio.create_task(monitor.run())
        while await lines.readline():
            print(round(monitor.longest_stall_seconds * 1000, 2), flush=True)
            monitor.longest_stall_seconds = 0.0
        ticks.cancel()


if __name__ == "__main__":
    # `claude-gateway serve` does the same before it serves.
    priority.raise_gateway_priority()
    limit_retained_memory()
    uvloop.run(_serve())
