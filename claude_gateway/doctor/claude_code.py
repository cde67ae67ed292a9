"""Claude Code, asked: which version, which login, how much memory. Nothing is sent upstream."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers import rss
from workers.launch import command_line, environment
from workers.process import Process
from workers.settings import LaunchSettings
from workers.worker import Worker, end

_BOOT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Said:
    """What it said when it started."""

    version: str
    account: Mapping[str, Any]
    mebibytes: float


async def ask(launch: LaunchSettings) -> Said:
    """Start it as a worker is started, and end it. Raises `WorkerError` where it does not start."""
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="claude-gateway-doctor-"))

    async def spawn(_: object) -> Process:
        return await Process.spawn(command_line(launch), environment(launch, directory, os.environ), directory)

    worker = Worker(spawn, launch.default_model)
    try:
        await worker.boot(_BOOT_SECONDS)
        used = float(await rss.mebibytes(worker.pid))
        return Said(worker.protocol.version, worker.protocol.account, used)
    finally:
        if worker.pid:
            await end(worker)
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
