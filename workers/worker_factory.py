"""Factory of chat workers and agents. Each worker belongs to one login, with the variables of that login."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from workers.cli.command import (
    RESUME_FILE_NAME,
    build_agent_arguments,
    build_agent_environment,
    build_chat_command,
    build_environment,
    find_login_directory,
)
from workers.cli.managed_process import LaunchSpec, ManagedProcess, spawn_managed
from workers.conversation.resume_file import ResumeFile
from workers.conversation.resume_index import ResumeIndex, ResumePoint
from workers.core.login_limits import LimitCallback
from workers.core.observer import Observer
from workers.core.settings import AuthMethod, LaunchSettings
from workers.host import priority
from workers.host.priority import Priority
from workers.host.process_dirs import ProcessDirectories
from workers.host.workspaces import get_transcript_dir
from workers.sandbox.cli_sandbox import SandboxSpec, build_cli_sandbox_command
from workers.worker.agent_worker import AgentWorker
from workers.worker.chat_worker import ChatWorker


class WorkerFactory:
    """Creates workers whose processes are not started yet."""

    def __init__(
        self,
        process_dirs: ProcessDirectories,
        logins: Sequence[LaunchSettings],
        create_limit_callback: Callable[[str], LimitCallback],
        starting_priority: Priority,
        sandbox: SandboxSpec | None,
        observer: Observer,
    ) -> None:
        """Create a factory.

        Args:
            process_dirs: The directories of the processes.
            logins: The settings of each login.
            create_limit_callback: A function that returns the function which processes of a login call when they report
                limits.
            starting_priority: The priority of chat processes during their start.
            sandbox: The sandbox of agents, or None if agents run without a sandbox.
            observer: The observer of chat workers.
        """
        self._process_dirs = process_dirs
        self._logins = {launch.name: launch for launch in logins}
        self._create_limit_callback = create_limit_callback
        self._starting_priority = starting_priority
        self._later_priority = priority.get_chat_priority()
        self._sandbox = sandbox
        self._observer = observer

    def create_chat_worker(self, login: str) -> ChatWorker:
        """Create a chat worker for a login."""
        launch = self._logins[login]

        async def spawn(resume_file: ResumeFile | None) -> ManagedProcess:
            return await self._spawn_chat_process(launch, resume_file)

        return ChatWorker(
            spawn,
            launch.default_model,
            observer=self._observer,
            system_in_body=launch.auth_method is not AuthMethod.CLI,
            on_limits=self._create_limit_callback(login),
        )

    def create_agent(
        self,
        workspace: Path,
        tools: tuple[str, ...],
        resume_index: ResumeIndex,
        resume_point: ResumePoint | None,
        login: str,
    ) -> AgentWorker:
        """Create an agent for a login. The parameters are those of `workers.pool.agent_launcher.AgentFactory`."""
        launch = self._logins[login]

        async def build_launch_spec(process_dir: Path) -> LaunchSpec:
            return _build_agent_launch_spec(launch, self._sandbox, process_dir, workspace, tools, resume_point)

        return AgentWorker(
            lambda _: spawn_managed(self._process_dirs, build_launch_spec, priority.get_background_priority()),
            launch.default_model,
            resume_index,
            resume_point,
            self._create_limit_callback(login),
        )

    async def _spawn_chat_process(self, launch: LaunchSettings, resume_file: ResumeFile | None) -> ManagedProcess:
        async def build_launch_spec(process_dir: Path) -> LaunchSpec:
            resume_path = process_dir / RESUME_FILE_NAME if resume_file else None
            if resume_file and resume_path:
                await asyncio.to_thread(resume_path.write_bytes, resume_file.content)
            env = build_environment(launch, process_dir, os.environ, resume_file.model if resume_file else None)
            return LaunchSpec(build_chat_command(launch, resume_path), env, process_dir, resume_path)

        # A job waits for a process that resumes a conversation, so the process starts with the priority of a chat
        # process.
        start_priority = self._starting_priority if resume_file is None else self._later_priority
        process = await spawn_managed(self._process_dirs, build_launch_spec, start_priority)
        process.restores_priority = start_priority != self._later_priority
        return process


def _build_agent_launch_spec(
    launch: LaunchSettings,
    sandbox: SandboxSpec | None,
    process_dir: Path,
    workspace: Path,
    tools: tuple[str, ...],
    resume_point: ResumePoint | None,
) -> LaunchSpec:
    arguments = build_agent_arguments(launch, tools, sandboxed=sandbox is not None, resume_point=resume_point)
    env = build_agent_environment(
        launch, process_dir, os.environ, sandbox, resume_point.model if resume_point else None
    )
    if sandbox is None:
        return LaunchSpec((str(launch.cli_path), *arguments), env, workspace)
    login_dir = find_login_directory(launch, os.environ)
    argv = build_cli_sandbox_command(
        sandbox, launch.cli_path, arguments, workspace, login_dir, get_transcript_dir(workspace)
    )
    return LaunchSpec(argv, env, process_dir)
