"""The parts of the engine put together: settings in, schedulers of real `claude` processes out."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workers import priority, sandbox_check
from workers.agent import Agent
from workers.agents import Agents, NewAgent
from workers.errors import ErrorKind, WorkerError
from workers.homes import Homes
from workers.job import ChatJob
from workers.launch import (
    CONVERSATION,
    agent_arguments,
    agent_environment,
    command_line,
    environment,
    has_boxable_login,
    login_directory,
    login_files,
)
from workers.link import Spawn
from workers.observer import UNOBSERVED, Observer
from workers.places import Places, talk_of
from workers.pool import Pool
from workers.prepared import Prepared
from workers.priority import Priority
from workers.process import Process
from workers.record import Record, Resumption
from workers.sandbox import Box, boxed
from workers.scheduler import Check, Scheduler
from workers.settings import AgentSettings, AuthMethod, LaunchSettings, PoolSettings, QueueSettings
from workers.worker import Worker

# Of a process to start: its command line, environment and directory, and a file that goes once it is up.
Started = tuple[tuple[str, ...], dict[str, str], Path, Path | None]
# What runs whatever the model writes.
COMMANDS = frozenset({"Bash"})
LOGIN_IN_A_FILE = (
    "the login is in a file, which no box shows; for AWS, keys or AWS_BEARER_TOKEN_BEDROCK can be set in its place"
)


class HousedProcess(Process):
    """A process whose directory goes when it ends, and the conversation it took up as soon as it has read it."""

    home: Path
    homes: Homes
    conversation: Path | None = None
    starts_low = False

    async def started(self) -> None:
        if self.starts_low:
            await asyncio.to_thread(priority.restore, self.pid)
        if self.conversation is not None:
            await asyncio.to_thread(self.conversation.unlink, missing_ok=True)

    async def ended(self) -> int:
        status = await super().ended()
        await self.homes.remove(self.home)
        return status


@dataclass(frozen=True, slots=True)
class Engine:
    """`without_box`: why no command of Claude's is run in a sandbox here, "" where they are; `may_run_commands`: it may
    run them all the same, or in one."""

    pool: Pool
    scheduler: Scheduler[Worker]
    agents: Agents
    agent_scheduler: Scheduler[Agent]
    places: Places
    without_box: str
    may_run_commands: bool
    _processes: AsyncExitStack

    def refuse_waiting(self, retry_after: float) -> None:
        """What waits for a worker will not be begun; what runs is not touched. Seconds until there is one again."""
        self.scheduler.refuse_waiting(retry_after)
        self.agent_scheduler.refuse_waiting(retry_after)

    async def stop(self) -> None:
        """End every process, whatever it does."""
        await self._processes.aclose()

    def slot(
        self, job: ChatJob, deadline: float, check: Check
    ) -> AbstractAsyncContextManager[Callable[[], AbstractAsyncContextManager[Worker | Agent]]]:
        """Somebody to run the job, and another where that one fails, if `check` lets it begin when it is its turn.
        Raises `WorkerError`."""
        if job.work is None:
            return self.scheduler.slot(job, deadline, check)
        if not self.may_run_commands and COMMANDS & set(job.work.tools):
            raise WorkerError(ErrorKind.NO_TOOLS, "Tools that run commands are off here: there is no sandbox for them.")
        return self.agent_scheduler.slot(job, deadline, check)


@asynccontextmanager
async def running_engine(
    homes: Homes,
    launch: LaunchSettings,
    pool_settings: PoolSettings,
    queue: QueueSettings,
    agent_settings: AgentSettings,
    observer: Observer = UNOBSERVED,
) -> AsyncIterator[Engine]:
    """The engine for the length of a `with`: no process of it is left afterwards.

    Raises `WorkerError` when no worker starts, `workers.homes.StateDirectoryInUse`, or `OSError`.
    """
    await homes.open()
    try:
        box, lacking = await box_here(launch, agent_settings)
        places = Places(homes.base, box.user if lacking is None else None)
        await places.open()
        # Outside of a box a process knows its directory by a name, which a spare's would have to change.
        bounds = agent_settings if lacking is None else replace(agent_settings, spares=0)
        agents = Agents(_new_agent(homes, launch, box if lacking is None else None), places, bounds, observer)
        spawn = _spawn(homes, launch, await asyncio.to_thread(priority.of_starting_chat), priority.of_chat())
        pool = Pool(
            lambda: Worker(
                spawn,
                launch.default_model,
                observer=observer,
                system_in_body=launch.auth_method is not AuthMethod.CLI,
            ),
            pool_settings,
            observer,
        )
        async with AsyncExitStack() as processes:
            processes.push_async_callback(places.close)
            processes.push_async_callback(pool.close)
            processes.push_async_callback(agents.close)
            await pool.start()
            yield Engine(
                pool,
                Scheduler(pool, pool_settings.workers, queue),
                agents,
                Scheduler(agents, agent_settings.workers, queue),
                places,
                lacking or "",
                lacking is None or agent_settings.unsandboxed,
                processes,
            )
    finally:
        homes.close()


async def box_here(launch: LaunchSettings, settings: AgentSettings) -> tuple[Box, str | None]:
    """The box that agents work in, and why there can be none here."""
    is_root = os.geteuid() == 0
    box = Box(settings.user if is_root else None, settings.disk_bytes, settings.process_bytes)
    if is_root and not has_boxable_login(launch):
        return box, "as root, a `cli` login needs CLAUDE_CODE_OAUTH_TOKEN for this"
    files = login_files(launch, os.environ)
    if await asyncio.to_thread(lambda: any(file.exists() for file in files)):
        return box, LOGIN_IN_A_FILE
    return box, await sandbox_check.complaint(box)


def _spawn(homes: Homes, launch: LaunchSettings, starting: Priority, later: Priority) -> Spawn:
    async def spawn(prepared: Prepared | None) -> HousedProcess:
        async def command(home: Path) -> Started:
            conversation = home / CONVERSATION if prepared else None
            if prepared and conversation:
                await asyncio.to_thread(conversation.write_bytes, prepared.lines)
            env = environment(launch, home, os.environ, prepared.model if prepared else None)
            return command_line(launch, conversation), env, home, conversation

        # A job waits for one that takes up a conversation.
        first = starting if prepared is None else later
        process = await _housed(homes, command, first)
        process.starts_low = first != later
        return process

    return spawn


def _new_agent(homes: Homes, launch: LaunchSettings, box: Box | None) -> NewAgent:
    def new_agent(place: Path, tools: tuple[str, ...], record: Record, resumption: Resumption | None) -> Agent:
        async def command(home: Path) -> Started:
            arguments = agent_arguments(launch, tools, boxed=box is not None, resumption=resumption)
            env = agent_environment(launch, home, os.environ, box, resumption.model if resumption else None)
            if box is None:
                return (str(launch.cli_path), *arguments), env, place, None
            login = login_directory(launch, os.environ)
            return boxed(box, launch.cli_path, arguments, place, login, talk_of(place)), env, home, None

        return Agent(
            lambda _: _housed(homes, command, priority.of_later_work()), launch.default_model, record, resumption
        )

    return new_agent


async def _housed(homes: Homes, command: Callable[[Path], Awaitable[Started]], first: Priority) -> HousedProcess:
    """A process with a directory of its own, recorded so that the next gateway ends it if this one cannot."""
    home = await homes.make()
    try:
        argv, env, directory, conversation = await command(home)
        process = await HousedProcess.spawn(argv, env, directory, priority=first)
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
