"""One `claude` process with its configuration and its conversation. Chat workers and agents use it."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol

from workers.cli.connection import CliConnection, ProcessFactory
from workers.cli.protocol import CliProtocol
from workers.conversation.prefix_keys import ConversationKeys
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import Event
from workers.core.frame import Frame
from workers.core.job import ChatJob
from workers.core.login_limits import LimitCallback, ignore_limits
from workers.parsing.limit_report import find_limit_info, parse_limit_report
from workers.worker.cost_meter import CostCallback, CostMeter
from workers.worker.live_conversation import LiveConversation
from workers.worker.liveness import DEFAULT_LIVENESS_TIMEOUT_SECONDS, LivenessMonitor
from workers.worker.process_config import ProcessConfig
from workers.worker.tool_registration import ToolRegistration


class FrameParser(Protocol):
    """A parser for the frames that follow a prompt. It converts the frames into events."""

    def feed(self, frame: Frame) -> list[Event]:
        """Return the events that a frame contains. Raise `WorkerError` if the reply failed."""
        ...

    def can_wait(self, frame: Frame) -> bool:
        """Return whether the reader can feed the frame together with the next one, because it contains no events."""
        ...


class CliSession:
    """A process, its configuration and the conversation that it holds.

    Deadlines are times of the event loop. Methods that exchange frames with the process raise `WorkerError`.

    Attributes:
        connection: The connection to the process.
        conversation: The conversation that the process holds.
        tool_registration: The client tools and remote tools that are registered with the process.
        config: The present configuration of the process.
    """

    def __init__(
        self,
        spawn: ProcessFactory,
        create_protocol: Callable[[], CliProtocol],
        config: ProcessConfig,
        liveness_timeout_seconds: float = DEFAULT_LIVENESS_TIMEOUT_SECONDS,
        on_limits: LimitCallback = ignore_limits,
    ) -> None:
        self.connection = CliConnection(spawn, create_protocol, self._report_limits)
        self._on_limits = on_limits
        self.conversation = LiveConversation(self.connection)
        self.tool_registration = ToolRegistration(self.connection)
        self.config = config
        self._liveness = LivenessMonitor(self.connection, liveness_timeout_seconds)
        self._cost_meter = CostMeter()

    @property
    def protocol(self) -> CliProtocol:
        """The state of the exchange with the process."""
        return self.connection.protocol

    def get_reaction_deadline(self, deadline: float) -> float:
        """Return the time until which the process must react.

        If the process does not react until then, another process can still run the job before the deadline.
        """
        return self._liveness.get_reaction_deadline(deadline)

    def guard(self, deadline: float) -> AbstractContextManager[None]:
        """Convert a timeout that occurs in the `with` block before the deadline into the error PROTOCOL_ERROR.

        Such a timeout means that the process hangs.
        """
        return self._liveness.guard(deadline)

    async def apply(self, target_config: ProcessConfig, deadline: float) -> None:
        """Change the configuration of the process.

        The method sends only the differences, and does not wait for the responses.
        """
        if target_config is self.config:
            return
        frames = self.config.build_update_frames(target_config, self.protocol)
        self.config = target_config
        if frames:
            await self.connection.write(*frames, deadline=deadline)

    async def send_prompt(
        self, parser: FrameParser, job: ChatJob, keys: ConversationKeys, on_cost: CostCallback, deadline: float
    ) -> None:
        """Send the last user turn of a job, to which the model replies, and wait until the process reacts.

        Args:
            parser: The parser of the reply. While its frames can wait, the method waits until the process must react.
            job: The job.
            keys: The keys of the job's conversation.
            on_cost: A function that is called with the cost of the job in US dollars, at the end of the job or soon
                after it.
            deadline: The deadline of the job.
        """
        self._cost_meter = CostMeter(on_cost, self.protocol.cost_usd)
        await self.conversation.send_prompt(job, keys.history_key, self.get_reaction_deadline(deadline))
        await self.connection.wait_readable(self.get_reaction_deadline(deadline), parser.can_wait)

    def next_frames(self, parser: FrameParser, deadline: float) -> Awaitable[list[Frame]]:
        """Wait for the next frames of the reply and return them.

        The method waits for the model, but raises an error if the process hangs.
        """
        return self._liveness.next_frames(self._create_ping_frame, deadline, parser.can_wait)

    def parse(self, parser: FrameParser, frame: Frame) -> list[Event]:
        """Return the events that a frame contains.

        Raises:
            WorkerError: The reply failed. The calling code must add the upstream's message to the error with
                `CliConnection.with_upstream_message`.
        """
        if frame["type"] == "assistant":
            self.conversation.observe(frame)
        elif frame["type"] == "result":
            self.report_cost()
        try:
            return parser.feed(frame)
        except WorkerError as error:
            if error.kind is ErrorKind.PROTOCOL_ERROR:
                # It is unknown which of the CLI's turns has ended.
                self.connection.mark_corrupt(f"{error.message} {error.detail}".strip())
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self.connection.mark_corrupt(repr(error)) from error

    def _create_ping_frame(self) -> Frame:
        return self.config.create_ping_frame(self.protocol)

    def _report_limits(self, frame: Frame) -> None:
        if report := parse_limit_report(find_limit_info(frame), time.time()):
            self._on_limits(report, self.config.model)

    def report_cost(self) -> None:
        """Report the cost of the job, unless it was already reported."""
        self._cost_meter.report(self.protocol.cost_usd)
