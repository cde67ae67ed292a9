"""Inspects the version, login and memory usage of Claude Code. Sends nothing to the upstream."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.cli.command import build_chat_command, build_environment
from workers.cli.process import Process
from workers.core.settings import LaunchSettings
from workers.host.memory_usage import read_rss_mib
from workers.worker.chat_worker import ChatWorker

_START_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class CliStartReport:
    """State of a CLI process after its start.

    Attributes:
        version: The version of the CLI.
        account: The login, as the CLI reported it.
        rss_mib: Memory of the process in MiB.
    """

    version: str
    account: Mapping[str, Any]
    rss_mib: float


async def start_and_inspect(launch: LaunchSettings) -> CliStartReport:
    """Start the CLI in the same way as a worker, inspect it and end it.

    Raises:
        WorkerError: If the CLI does not start.
    """
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="claude-gateway-doctor-"))

    async def spawn(_: object) -> Process:
        return await Process.spawn(
            build_chat_command(launch), build_environment(launch, directory, os.environ), directory
        )

    worker = ChatWorker(spawn, launch.default_model)
    try:
        await worker.start(_START_TIMEOUT_SECONDS)
        rss_mib = float(await read_rss_mib(worker.pid))
        return CliStartReport(worker.protocol.cli_version, worker.protocol.account, rss_mib)
    finally:
        if worker.pid:
            await worker.stop()
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
