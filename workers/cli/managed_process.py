"""A process of the engine that has its own directory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from workers.cli.process import Process
from workers.host.priority import Priority
from workers.host.process_dirs import ProcessDirectories


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """The data that are necessary to start a process.

    Attributes:
        argv: The command line of the process.
        env: The complete environment of the process.
        directory: The working directory of the process.
        resume_file: The file with the conversation to resume, or None for a new conversation. The gateway removes the
            file once the process has read it.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    directory: Path
    resume_file: Path | None = None


class ManagedProcess(Process):
    """A process that has its own directory, which the gateway removes when the process exits."""

    process_dir: Path
    process_dirs: ProcessDirectories
    resume_file: Path | None = None
    restores_priority = False

    async def mark_ready(self) -> None:
        """Give a started process the priority of chat processes, and remove the resume file, which it has read."""
        if self.restores_priority:
            await self.restore_priority()
        if self.resume_file is not None:
            await asyncio.to_thread(self.resume_file.unlink, missing_ok=True)

    async def wait_exited(self) -> int:
        """Wait until the process exits, remove the process directory, and return the exit status."""
        status = await super().wait_exited()
        await self.process_dirs.remove(self.process_dir)
        return status


async def spawn_managed(
    process_dirs: ProcessDirectories, build_launch_spec: Callable[[Path], Awaitable[LaunchSpec]], first: Priority
) -> ManagedProcess:
    """Start a process with its own directory and pid file.

    If this gateway is killed, the next gateway finds the process with the pid file and ends it.
    """
    process_dir = await process_dirs.create()
    try:
        spec = await build_launch_spec(process_dir)
        process = await ManagedProcess.spawn(spec.argv, spec.env, spec.directory, priority=first)
    except BaseException:
        await process_dirs.remove(process_dir)
        raise
    process.process_dir, process.process_dirs, process.resume_file = process_dir, process_dirs, spec.resume_file
    try:
        await process_dirs.write_pid_file(process_dir, process.pid)
    except BaseException:
        process.kill()
        await process.wait_exited()
        raise
    return process
