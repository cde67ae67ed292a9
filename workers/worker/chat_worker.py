"""Chat worker, which is a worker with one long-lived `claude` process and without built-in tools."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from workers.cli.connection import ProcessFactory, convert_start_errors
from workers.cli.protocol import CliProtocol, ProtocolState
from workers.conversation.prefix_keys import ReplyBuilder
from workers.conversation.resume_file import RESUME_THRESHOLD_USER_TURNS, ResumeFile, build_resume_file
from workers.conversation.transcript import Transcript
from workers.core.errors import ErrorKind, WorkerError
from workers.core.event_loop import loop_time
from workers.core.events import BlockStarted, Event, EventStream, Finished
from workers.core.frozen import with_changes
from workers.core.job import ChatJob, ToolUse, Turn
from workers.core.login_limits import LimitCallback, ignore_limits
from workers.core.observer import NULL_OBSERVER, HistorySource, Observer
from workers.host.large_job_threads import run_for_job
from workers.params.name_aliases import NameRestorer
from workers.parsing.turn_parser import TurnParser
from workers.worker.cli_session import CliSession
from workers.worker.cost_meter import CostCallback, ignore_cost
from workers.worker.liveness import DEFAULT_LIVENESS_TIMEOUT_SECONDS
from workers.worker.prepared_job import PreparedJob
from workers.worker.process_config import ProcessConfig, build_request_body
from workers.worker.worker import Worker


class ChatWorker(Worker):
    """Runs chats, one at a time. Call `start` first, then `run` and `recover` for each chat, and `kill` at the end.

    Attributes:
        system_prompt_was_set: Whether the process has had a system prompt, which can be changed but not removed.
        started_at: The start of the process, by the monotonic clock.
    """

    def __init__(
        self,
        spawn: ProcessFactory,
        default_model: str,
        create_protocol: Callable[[], CliProtocol] = CliProtocol,
        observer: Observer = NULL_OBSERVER,
        *,
        liveness_timeout_seconds: float = DEFAULT_LIVENESS_TIMEOUT_SECONDS,
        system_in_body: bool = True,
        on_limits: LimitCallback = ignore_limits,
    ) -> None:
        """Create a worker whose process is not started yet.

        Args:
            spawn: A function that starts a process.
            default_model: The model with which a process starts.
            create_protocol: A function that creates the protocol for a new process.
            observer: The observer to which the worker reports how the process gets the history of each job.
            liveness_timeout_seconds: The longest time in which the process may send nothing although it must react
                itself.
            system_in_body: Whether the system prompt of a job replaces the text in which the CLI describes itself. A
                `cli` login requires that text.
            on_limits: A function that is called when the process reports limits of its login.
        """
        self._system_in_body = system_in_body
        super().__init__(
            CliSession(spawn, create_protocol, self._build_config(default_model), liveness_timeout_seconds, on_limits)
        )
        self._observer = observer
        self.system_prompt_was_set = False
        self.started_at = time.monotonic()

    @property
    def transcript(self) -> Transcript:
        """The conversation that the process holds."""
        return self._session.conversation.transcript

    @property
    def last_reply(self) -> Turn | None:
        """The last reply in the conversation that the process holds, or None if it is unknown."""
        return self._session.conversation.last_reply

    @property
    def protocol(self) -> CliProtocol:
        """The state of the exchange with the process."""
        return self._session.protocol

    async def start(self, timeout_seconds: float) -> None:
        """Start the process, and wait until the process accepts prompts.

        Raises:
            WorkerError: START_FAILED if the process did not start.
        """
        await self._start_process(loop_time() + timeout_seconds)

    async def _start_process(self, deadline: float, resume_file: ResumeFile | None = None) -> None:
        connection = self._session.connection
        async with convert_start_errors(deadline):
            await connection.open(resume_file)
            await connection.write(
                self.protocol.initialize(),
                # The budget applies to models that can answer without thinking. The CLI's default is 31,999 tokens.
                self.protocol.set_thinking_budget(0),
                self.protocol.set_environment(self._session.config.to_env()),
                deadline=None,
            )
            while self.protocol.state is ProtocolState.STARTING:
                await connection.next_frame()
            await connection.wait_controls_answered(None)
            await connection.mark_ready()

    async def run(self, prepared: PreparedJob, deadline: float, on_cost: CostCallback = ignore_cost) -> EventStream:
        """Run one job. The reader of the events may stop before the last event.

        Args:
            prepared: The job.
            deadline: The end of the job's time, by the clock of the event loop.
            on_cost: A function that is called with the cost of the job in US dollars, at the end of the job or soon
                after it.

        Yields:
            The events of the reply, as soon as they arrive. A batch contains the events of one read from the process.

        Raises:
            WorkerError: The job failed. The kind is TIMEOUT if the job has not ended before the deadline.
        """
        self.job_count += 1
        job, session = prepared.job, self._session
        parser, reply, names = TurnParser(), ReplyBuilder(), NameRestorer(prepared.aliases)
        with session.guard(deadline):
            await self._prepare(prepared, deadline)
            await session.send_prompt(parser, job, prepared.keys, on_cost, deadline)
        is_finished = False
        while not is_finished:
            batch: list[Event] = []
            try:
                for frame in await session.next_frames(parser, deadline):
                    events = session.parse(parser, frame)
                    batch += events
                    is_finished = parser.is_finished
                    if is_finished or _has_unregistered_call(events, prepared.tool_names):
                        # The CLI itself answers such a call. It would end the turn before it had read the whole reply.
                        await session.apply(with_changes(session.config, single_request=is_finished), deadline)
                    if is_finished:
                        break
            except WorkerError as error:
                if batch:
                    yield names.restore(batch)
                raise await session.connection.with_upstream_message(error) from None
            reply.feed_all(batch)
            if batch and isinstance(last := batch[-1], Finished):
                # The conversation is recorded before the event is passed on, because the reader may stop at this event.
                session.conversation.commit(job, prepared.keys, reply, last)
            if restored := names.restore(batch):
                yield restored

    async def recover(self, timeout_seconds: float) -> None:
        """Interrupt a reply that still runs, and repair the conversation, so that the next job can continue it.

        Raises:
            WorkerError: The process cannot run another job.
        """
        session, connection = self._session, self._session.connection
        if connection.is_corrupt:
            raise WorkerError(
                ErrorKind.PROTOCOL_ERROR,
                "The state of the claude process is unknown, so it cannot take another job.",
                detail=connection.corruption_reason,
            )
        deadline = loop_time() + timeout_seconds
        if self.protocol.state is ProtocolState.REPLYING and session.conversation.should_interrupt:
            await connection.write(self.protocol.interrupt(), deadline=deadline)
        await connection.wait_idle(deadline)
        session.report_cost()
        await connection.wait_controls_answered(deadline)  # the next job must not read a response to this one
        await session.conversation.repair_truncated_reply(deadline)

    async def _prepare(self, prepared: PreparedJob, deadline: float) -> None:
        """Configure the process for the job and load the history of the conversation."""
        job, session, get_deadline = prepared.job, self._session, self._session.get_reaction_deadline
        history_count = len(prepared.keys.prefixes) - 1
        missing_count = history_count - self.transcript.find_rewind_point(prepared.keys.prefixes)[0]
        source = _find_history_source(history_count, missing_count)
        self._observer.history_loaded("chat", source)
        if source == "resumed":
            await self._restart_with_history(prepared, get_deadline(deadline))
        kept_turn_count = await session.conversation.rewind_to_common_prefix(
            prepared.keys.prefixes, get_deadline(deadline)
        )
        await self._set_model(job, get_deadline(deadline))
        body = build_request_body(job.tools, job.system if self._system_in_body else None)
        target_config = with_changes(session.config, params=job.params, extra_body=body, single_request=True)
        await session.apply(target_config, get_deadline(deadline))
        await session.tool_registration.set_tool_names(prepared.tool_names, get_deadline(deadline))
        await session.conversation.replay_history(job, prepared.keys.prefixes, kept_turn_count, get_deadline(deadline))

    async def _restart_with_history(self, prepared: PreparedJob, deadline: float) -> None:
        """Replace the process by a new one that starts with the history of the job, because the history is long.

        Raises:
            WorkerError: The new process did not start.
        """
        job, session = prepared.job, self._session
        resume_file = await run_for_job(job, build_resume_file, job.turns[:-1], job.model)
        session.config = self._build_config(job.model)
        session.tool_registration.reset()
        self.system_prompt_was_set = False
        # The process counts as unusable until the new one has started, because the client may abandon the job in the
        # meantime.
        session.connection.mark_corrupt("its start with a conversation did not end")
        try:
            await self._start_process(deadline, resume_file)
        except WorkerError as error:
            # The error lets another worker try the job, because the pool has other processes.
            raise session.connection.mark_corrupt(f"{error} {error.detail}") from error
        session.connection.clear_corruption()
        self.job_count, self.started_at = 1, time.monotonic()
        await session.conversation.adopt_resumed(resume_file, prepared.keys.prefixes, job.turns[:-1], deadline)

    async def _set_model(self, job: ChatJob, deadline: float) -> None:
        session, system = self._session, "" if self._system_in_body else job.system
        if session.config.model != job.model:
            session.config = replace(session.config, model=job.model)
            await session.connection.write(self.protocol.switch_model(job.model), deadline=deadline)
        if session.config.system != system:
            # This is set before the prompt is sent, because the process may already have the prompt if the client
            # disconnects now.
            self.system_prompt_was_set = self.system_prompt_was_set or bool(system)
            session.config = replace(session.config, system=system)
            await session.connection.write(self.protocol.set_system_prompt(job.model, system), deadline=deadline)
        await session.connection.wait_controls_answered(deadline)

    def _build_config(self, model: str) -> ProcessConfig:
        return ProcessConfig(
            model, extra_body=build_request_body((), "" if self._system_in_body else None), single_request=True
        )


def _find_history_source(history_count: int, missing_count: int) -> HistorySource:
    """Return how the process gets the history of a job.

    Args:
        history_count: The number of user turns in the history.
        missing_count: The number of these turns that the process does not have.
    """
    if not history_count:
        return "new"
    if not missing_count:
        return "reused"
    return "resumed" if missing_count > RESUME_THRESHOLD_USER_TURNS else "replayed"


def _has_unregistered_call(events: Iterable[Event], tool_names: Collection[str]) -> bool:
    """Return whether one of the events is the start of a call to a tool that is not registered with the CLI."""
    for event in events:  # a loop takes less time than `any` with a generator, and this runs for each delta
        if isinstance(event, BlockStarted) and isinstance(event.block, ToolUse) and event.block.name not in tool_names:
            return True
    return False
