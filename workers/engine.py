"""The parts of the engine put together: settings in, a scheduler of real `claude` processes out."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workers.homes import Homes
from workers.launch import CONVERSATION, command_line, environment
from workers.pool import Pool
from workers.prepared import Prepared
from workers.process import Process
from workers.scheduler import Scheduler
from workers.settings import LaunchSettings, PoolSettings, QueueSettings
from workers.worker import Worker


class HousedProcess(Process):
    """A process whose directory goes when it ends, and the conversation it took up as soon as it has read it."""

    home: Path
    homes: Homes
    conversation: Path | None = None

    async def started(self) -> None:
        if self.conversation is not None:
            await asyncio.to_thread(self.conversation.unlink, missing_ok=True)

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

    async def spawn(prepared: Prepared | None) -> HousedProcess:
        home = await homes.make()
        conversation = home / CONVERSATION if prepared else None
        try:
            if prepared and conversation:
                await asyncio.to_thread(conversation.write_bytes, prepared.lines)
            argv = command_line(launch, conversation)
            env = environment(launch, home, os.environ, prepared.model if prepared else None)
            process = await HousedProcess.spawn(argv, env, home)
        except BaseException:
            await homes.remove(home)
            raise
        process.home, process.homes, process.conversation = home, homes, conversation
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
