"""Agent, which is a worker with one `claude` process, built-in tools, one workspace and one conversation."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from workers.cli.connection import ProcessFactory, convert_start_errors
from workers.cli.protocol import CliProtocol, ProtocolState
from workers.conversation.prefix_keys import ReplyBuilder
from workers.conversation.resume_index import EMPTY_RESUME_INDEX, LastMessageTracker, ResumeIndex, ResumePoint
from workers.core.errors import WorkerError
from workers.core.event_loop import loop_time
from workers.core.events import EventStream, Finished
from workers.core.frame import Frame
from workers.core.login_limits import LimitCallback, ignore_limits
from workers.parsing.agent_turn_parser import AgentTurnParser
from workers.sandbox.permissions import find_denial_reason
from workers.worker.cli_session import CliSession
from workers.worker.cost_meter import CostCallback, ignore_cost
from workers.worker.prepared_job import PreparedAgentJob
from workers.worker.process_config import ProcessConfig
from workers.worker.remote_tool_calls import RemoteToolCallRunner
from workers.worker.worker import Worker

_STOP_TIMEOUT_SECONDS = 2.0
_COMPLETE_STOP_REASONS = ("end_turn", "stop_sequence")


class AgentWorker(Worker):
    """Runs the jobs of one conversation, one at a time.

    Call `start` first, then `run` and `finish_turn` for each job, and `kill` at the end.

    Attributes:
        resume_index: The messages after which another process can resume the conversation.
        first_output: An event that is set when the upstream has begun its first reply.
        last_used_at: The end of the last job, by the monotonic clock.
    """

    def __init__(
        self,
        spawn: ProcessFactory,
        model: str,
        resume_index: ResumeIndex = EMPTY_RESUME_INDEX,
        resume_point: ResumePoint | None = None,
        on_limits: LimitCallback = ignore_limits,
    ) -> None:
        """Create an agent whose process is not started yet.

        Args:
            spawn: A function that starts the process.
            model: The model with which the process starts.
            resume_index: The messages after which a process can resume the conversation, as recorded by earlier agents.
            resume_point: The message after which the process resumes the conversation, or None for a new conversation.
            on_limits: A function that is called when the process reports limits of its login.
        """
        config = ProcessConfig(resume_point.model if resume_point else model)
        super().__init__(CliSession(spawn, self._create_protocol, config, on_limits=on_limits))
        self._remote_tool_calls = RemoteToolCallRunner(self._session.connection)
        if resume_point:
            self._session.conversation.transcript.conversation_key = resume_point.conversation_key
        self.resume_index = resume_index
        # The job that runs now, or the last job.
        self._prepared: PreparedAgentJob | None = None
        self._denied_call_ids: set[str] = set()
        self.first_output = asyncio.Event()
        self.last_used_at = time.monotonic()

    @property
    def conversation_key(self) -> str | None:
        """The key of the conversation that the process holds, or None if the conversation cannot continue."""
        if self._session.connection.is_corrupt:
            return None
        return self._session.conversation.transcript.conversation_key

    async def start(self, deadline: float) -> None:
        """Start the process. The process gets its system prompt later, with its first job.

        Raises:
            WorkerError: START_FAILED if the process did not start.
        """
        connection = self._session.connection
        async with convert_start_errors(deadline):
            await connection.open()
            await connection.write(connection.protocol.set_thinking_budget(0), deadline=None)
            await connection.wait_controls_answered(None)

    async def run(
        self, prepared: PreparedAgentJob, deadline: float, on_cost: CostCallback = ignore_cost
    ) -> EventStream:
        """Run one job.

        Args:
            prepared: The job.
            deadline: The end of the job's time, by the clock of the event loop.
            on_cost: A function that is called with the cost of the job in US dollars.

        Yields:
            The events of the reply, as soon as they arrive.

        Raises:
            WorkerError: The job failed. The kind is TIMEOUT if the job has not ended before the deadline.
        """
        self.job_count += 1
        session, options = self._session, prepared.options
        parser = AgentTurnParser(self._denied_call_ids, final_text_only=options.final_text_only)
        with session.guard(deadline):
            await self._prepare(prepared, deadline)
            await session.send_prompt(parser, prepared.job, prepared.keys, on_cost, deadline)
        reply, last_message = ReplyBuilder(), LastMessageTracker()
        is_finished = False
        while not is_finished:
            for frame in await session.next_frames(parser, deadline):
                last_message.feed(frame)
                if frame["type"] == "stream_event":
                    self.first_output.set()
                try:
                    events = session.parse(parser, frame)
                except WorkerError as error:
                    raise await session.connection.with_upstream_message(error) from None
                if parser.has_tool_results and parser.message_count == options.max_turns and not parser.is_finished:
                    events += parser.pause()
                is_finished = parser.is_finished
                reply.feed_all(events)
                if events and isinstance(last := events[-1], Finished) and last.stop_reason in _COMPLETE_STOP_REASONS:
                    self._commit(prepared, reply, last_message, last)
                if events:
                    yield events
                if is_finished:
                    break
                is_last_message = parser.is_streaming and parser.message_count + 1 == options.max_turns
                if (is_last_message or parser.is_final_message) and not session.config.single_request:
                    await session.apply(replace(session.config, single_request=True), deadline)

    async def finish_turn(self) -> None:
        """Wait until the CLI's turn ends after a job. If the turn does not end, the conversation cannot continue."""
        self.last_used_at = time.monotonic()
        if self.conversation_key is None:
            return
        session = self._session
        deadline = loop_time() + _STOP_TIMEOUT_SECONDS
        with suppress(WorkerError):
            await session.connection.wait_idle(deadline)
            session.report_cost()
            await session.apply(replace(session.config, single_request=False), deadline)
            await session.connection.wait_controls_answered(deadline)
            return
        session.connection.mark_corrupt("its turn did not end")

    def kill(self) -> None:
        """Kill the process, and cancel the calls of its remote tools."""
        self._remote_tool_calls.cancel_all()
        super().kill()

    def _create_protocol(self) -> CliProtocol:
        return CliProtocol(
            permission_policy=self._find_denial_reason,
            on_tool_call=lambda frame: self._remote_tool_calls.start(frame, self._prepared),
        )

    def _find_denial_reason(self, request: Mapping[str, Any]) -> str | None:
        reason = find_denial_reason(request, self._prepared.options) if self._prepared else "No job is running."
        if reason is not None:
            self._denied_call_ids.add(str(request.get("tool_use_id")))
        return reason

    async def _prepare(self, prepared: PreparedAgentJob, deadline: float) -> None:
        """Configure the process for the job and load the history of the conversation."""
        session, protocol, get_deadline = self._session, self._session.protocol, self._session.get_reaction_deadline
        job, options = prepared.job, prepared.options
        frames: list[Frame] = []
        if protocol.state is ProtocolState.STARTING:
            frames.append(protocol.initialize_with_builtin_prompt(job.system))
        if (self._prepared is not None and self._prepared.options.plan_mode) != options.plan_mode:
            frames.append(protocol.set_permission_mode("plan" if options.plan_mode else "default"))
        self._prepared = prepared
        target_config = replace(session.config, params=job.params, single_request=False)
        if not session.conversation.transcript.newest_mark:
            frames.append(protocol.set_environment(target_config.to_env()))
        await session.connection.write(*frames, deadline=get_deadline(deadline))
        await session.apply(target_config, get_deadline(deadline))
        await session.connection.wait_controls_answered(get_deadline(deadline))
        if job.model != session.config.model:
            session.config = replace(session.config, model=job.model)
            await session.connection.write(protocol.switch_model(job.model), deadline=get_deadline(deadline))
            await session.connection.wait_controls_answered(get_deadline(deadline))
        await session.tool_registration.set_tools(prepared.remote_tools, get_deadline(deadline))
        kept_turn_count = await session.conversation.rewind_to_common_prefix(
            prepared.keys.prefixes, get_deadline(deadline)
        )
        await session.conversation.replay_history(job, prepared.keys.prefixes, kept_turn_count, get_deadline(deadline))

    def _commit(
        self, prepared: PreparedAgentJob, reply: ReplyBuilder, last_message: LastMessageTracker, finished: Finished
    ) -> None:
        """Record the conversation after a complete reply, in the transcript and in the resume index."""
        self._session.conversation.commit(prepared.job, prepared.keys, reply, finished)
        if turn := reply.build():
            self.resume_index = self.resume_index.with_last_message(
                prepared.content_keys.with_reply(turn), last_message.cli_session_id, last_message.message_uuid
            )
