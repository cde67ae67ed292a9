"""The parts of the engine put together: settings in, a scheduler of real `claude` processes out."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workers.homes import Homes
from workers.launch import command_line, environment
from workers.pool import Pool
from workers.process import Process
from workers.scheduler import Scheduler
from workers.settings import LaunchSettings, PoolSettings, QueueSettings
from workers.worker import Worker


class HousedProcess(Process):
    """A process whose directory goes when it ends."""

    home: Path
    homes: Homes

    async def ended(self) -> int:
        status = await super().ended()
        await self.homes.remove(self.home)
        return status


@dataclass(frozen=True, slots=True)
class Engine:
    pool: Pool
    scheduler: Scheduler


@asynccontextmanager
async def running_engine(
    homes: Homes, launch: LaunchSettings, pool_settings: PoolSettings, queue: QueueSettings
) -> AsyncIterator[Engine]:
    """The engine for the length of a `with`: no process of it is left afterwards.

    Raises `WorkerError` when no worker starts, `workers.homes.StateDirectoryInUse`, or `OSError`.
    """
    await homes.open()
    argv = command_line(launch)

    async def spawn() -> HousedProcess:
        home = await homes.make()
        try:
            process = await HousedProcess.spawn(argv, environment(launch, home, os.environ), home)
        except BaseException:
            await homes.remove(home)
            raise
        process.home, process.homes = home, homes
        try:
            await homes.record(home, process.pid)
        except BaseException:
            process.kill()
            await process.ended()
            raise
        return process

    pool = Pool(lambda: Worker(spawn, launch.default_model), pool_settings)
    try:
        await pool.start()
        yield Engine(pool, Scheduler(pool, pool_settings.workers, queue))
    finally:
        await pool.close()
        homes.close()
