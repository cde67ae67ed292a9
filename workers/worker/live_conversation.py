"""Conversation in a process. The gateway continues it, rewinds it, and repairs it after a truncated reply.

The CLI can rewind a conversation to any message in a few milliseconds (`rewind_conversation`). When it rewinds, it adds
no text of its own. Its command `/clear` would add a text. Checked with CLI 2.1.330
(claude_gateway/devtools/cli_contract/chat.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workers.cli.connection import CliConnection
from workers.conversation.prefix_keys import ConversationKeys, PrefixKeys, ReplyBuilder
from workers.conversation.resume_file import ResumeFile
from workers.conversation.transcript import Transcript, UserTurnMark
from workers.core.events import Finished
from workers.core.frame import Frame
from workers.core.job import ChatJob, Text, ToolUse, Turn
from workers.core.message_blocks import is_empty_reply_text

# If a reply ends with a reason in the first list, the conversation can continue. If it ends with a reason in the second
# list, the gateway must repair the conversation first.
_COMPLETE_STOP_REASONS = ("end_turn", "stop_sequence")
_TRUNCATED_STOP_REASONS = ("tool_use", "max_tokens")


@dataclass(frozen=True, slots=True)
class TruncatedReply:
    """A reply that ended for the client before the CLI's turn ended.

    Attributes:
        prefix_key: The key of the conversation before the user turn.
        user_turn: The user turn to which the model replied.
        reply: The reply that the client received.
        model: The model that replied.
    """

    prefix_key: str
    user_turn: Turn
    reply: Turn
    model: str


class LiveConversation:
    """The conversation that a process holds.

    Attributes:
        transcript: The user turns in the process. Its `conversation_key` is None during a reply, because the content of
            the process is unknown then.
    """

    def __init__(self, connection: CliConnection) -> None:
        self._connection = connection
        self.transcript = Transcript()
        self._truncated_reply: TruncatedReply | None = None
        # The user turn to which the CLI was asked to rewind, until the response of the CLI is read.
        self._pending_rewind: UserTurnMark | None = None
        # The reply after the newest user turn, and the id that the CLI uses for the first message of this reply. Both
        # are None if they are unknown.
        self._reply: Turn | None = None
        self._reply_uuid: str | None = None
        # The reply before the newest user turn, or None if it is unknown.
        self._previous_reply: Turn | None = None
        # The job whose reply is running or was not repaired yet.
        self._running_job: ChatJob | None = None
        # The last reply in the history of the job that runs, as the model wrote it, or None if it is unknown.
        self._reply_to_repeat: Turn | None = None

    @property
    def last_reply(self) -> Turn | None:
        """The reply after the newest user turn, or None if it is unknown."""
        return self._reply

    @property
    def should_interrupt(self) -> bool:
        """Whether the CLI may be in a turn whose output no client needs."""
        return self._truncated_reply is not None or self.transcript.conversation_key is None

    async def adopt_resumed(
        self, resume_file: ResumeFile, prefix_keys: PrefixKeys, turns: Sequence[Turn], deadline: float
    ) -> None:
        """Add the turns in the resume file of a new process to the transcript.

        If the last reply calls a tool, the CLI treats the reply as interrupted, because the call has no result. So the
        reply is repaired.
        """
        self.transcript.clear()
        uuids = resume_file.turn_uuids
        reply_uuids = (None, *uuids[1::2])
        for prefix_key, turn, uuid, reply_uuid in zip(prefix_keys, turns[::2], uuids[::2], reply_uuids, strict=False):
            self.transcript.add_user_turn(prefix_key, uuid, turn, reply_uuid)
        self.transcript.conversation_key = prefix_keys[-1]
        user_turn, reply = turns[-2:]
        self._reply, self._reply_uuid = reply, reply_uuids[-1]
        if any(isinstance(block, ToolUse) for block in reply.blocks):
            self._truncated_reply = TruncatedReply(prefix_keys[-2], user_turn, reply, resume_file.model)
            await self.repair_truncated_reply(deadline)

    async def rewind_to_common_prefix(self, prefix_keys: PrefixKeys, deadline: float) -> int:
        """Rewind the conversation to the longest prefix that it has in common with the conversation of a job.

        After this call, the previous conversation is lost, even if the job fails.

        Returns:
            The number of turns that the process keeps.

        Raises:
            WorkerError: The CLI did not rewind, so the content of the process is unknown.
        """
        kept_count, mark = self.transcript.find_rewind_point(prefix_keys)
        newest = self.transcript.newest_mark
        # If the job repeats its last turn, the reply before this turn is replayed as the model wrote it, with thinking.
        is_repeated = newest is not None and newest.prefix_key == prefix_keys[-1]
        self._reply_to_repeat = self._previous_reply if is_repeated else None
        self.transcript.conversation_key = None
        if mark is not None and not await self._rewind_to_mark(mark, deadline):
            raise self._connection.mark_corrupt("it did not rewind its conversation")
        # With tool results, the reply that called the tools was removed too.
        return 2 * kept_count - int(mark is not None and mark.has_tool_results and kept_count > 0)

    async def replay_history(
        self, job: ChatJob, prefix_keys: PrefixKeys, kept_turn_count: int, deadline: float
    ) -> None:
        """Replay the turns of the history that the process does not have yet.

        Args:
            job: The job. User and assistant alternate, and the first turn is the user's.
            prefix_keys: The prefix keys of the job's conversation.
            kept_turn_count: The number of turns that the process already has.
            deadline: The end of the time for the replay, by the clock of the event loop.
        """
        for position in range(kept_turn_count, len(job.turns) - 1):
            turn = job.turns[position]
            if turn.role == "user":
                await self._replay_user_turn(prefix_keys[position // 2], turn, deadline)
            else:
                is_last = position == len(job.turns) - 2
                reply = self._reply_to_repeat if is_last and self._reply_to_repeat else turn
                await self._replay_reply(reply, job.model, deadline)

    async def send_prompt(self, job: ChatJob, prefix_key: str, deadline: float) -> None:
        """Send the last user turn of a job, to which the model replies."""
        self._connection.mark_stderr_position()
        self._running_job = job
        turn = job.turns[-1]
        await self._send_user_turn(self._connection.protocol.prompt(turn), prefix_key, turn, deadline)

    def observe(self, frame: Frame) -> None:
        """Remember the id of the reply, if this frame contains the first message of the reply."""
        if self._reply_uuid is None and frame["type"] == "assistant" and not frame.get("error"):
            self._reply_uuid = frame.get("uuid")

    def commit(self, job: ChatJob, keys: ConversationKeys, reply_builder: ReplyBuilder, finished: Finished) -> None:
        """Set the key of the conversation after a reply, even if the reply must still be repaired."""
        reply = (
            reply_builder.build()
            if finished.stop_reason in (*_COMPLETE_STOP_REASONS, *_TRUNCATED_STOP_REASONS)
            else None
        )
        # If a reply has no text, the CLI has added its own request for a text. The next job removes this request by a
        # rewind.
        if reply is None or not any(isinstance(block, Text | ToolUse) for block in reply.blocks):
            return
        self.transcript.conversation_key = keys.with_reply(reply)
        self._reply = reply
        if finished.stop_reason in _TRUNCATED_STOP_REASONS or is_empty_reply_text(reply.blocks[0]):
            self._truncated_reply = TruncatedReply(keys.history_key, job.turns[-1], reply, job.model)

    async def repair_truncated_reply(self, deadline: float) -> None:
        """Repair the conversation after a reply that ended before the CLI's turn ended.

        The CLI has added a text about the interruption after the reply. This method replaces the reply and that text by
        the reply that the client received. It also applies an earlier rewind whose response was not read, because the
        client disconnected.
        """
        self._apply_pending_rewind()
        job, self._running_job = self._running_job, None
        if self._truncated_reply is None:
            if job is not None and self.transcript.conversation_key is None:
                await self._remove_failed_tool_results(job, deadline)
            return
        truncated, self._truncated_reply = self._truncated_reply, None
        transcript = self.transcript
        transcript.repaired_conversation_key, transcript.conversation_key = transcript.conversation_key, None
        try:
            if await self._remove_reply(truncated, deadline):
                await self._replay_reply(truncated.reply, truncated.model, deadline)
                transcript.conversation_key = transcript.repaired_conversation_key
        finally:
            transcript.repaired_conversation_key = None

    async def _remove_failed_tool_results(self, job: ChatJob, deadline: float) -> None:
        """Remove the tool results of a failed job if the CLI can remove them only with the exchange before them.

        The exchange is replayed, so that the client finds its conversation when it repeats the job. In all other cases
        the repeated job removes the failed turn itself.
        """
        transcript = self.transcript
        failed, mark, reply = transcript.newest_mark, transcript.previous_mark, self._previous_reply
        if failed is None or failed.is_removable or mark is None or mark.has_tool_results or reply is None:
            return
        transcript.repaired_conversation_key = failed.prefix_key
        try:
            if await self._rewind_to_mark(mark, deadline):
                await self._replay_user_turn(mark.prefix_key, job.turns[-3], deadline)
                await self._replay_reply(reply, job.model, deadline)
                transcript.conversation_key = failed.prefix_key
        finally:
            transcript.repaired_conversation_key = None

    async def _remove_reply(self, truncated_reply: TruncatedReply, deadline: float) -> bool:
        """Remove the reply and the text that the CLI added after it. Return False if the CLI did not remove them.

        The CLI can rewind to a user turn without tool results. It can also rewind to a reply that follows a user turn
        with tool results.
        """
        mark = self.transcript.newest_mark
        assert mark is not None
        if mark.has_tool_results:
            return self._reply_uuid is not None and await self._rewind(self._reply_uuid, deadline, to_reply=True)
        if not await self._rewind_to_mark(mark, deadline):
            return False
        await self._replay_user_turn(truncated_reply.prefix_key, truncated_reply.user_turn, deadline)
        return True

    async def _rewind_to_mark(self, mark: UserTurnMark, deadline: float) -> bool:
        """Remove a user turn and all later turns. Return False if the CLI did not remove them.

        If the turn contains tool results, the reply before it is removed too. If the client disconnects before the CLI
        responds, `repair_truncated_reply` later applies the rewind to the transcript.
        """
        self._pending_rewind = mark
        if mark.has_tool_results and mark.previous_reply_uuid is not None:
            await self._rewind(mark.previous_reply_uuid, deadline, to_reply=True)
        else:
            await self._rewind(mark.uuid, deadline)
        return self._apply_pending_rewind()

    def _apply_pending_rewind(self) -> bool:
        """Apply the requested rewind to the transcript if the CLI has confirmed it.

        Return whether the CLI has confirmed it.
        """
        mark, self._pending_rewind = self._pending_rewind, None
        has_rewound = mark is not None and self._connection.protocol.has_rewound
        if mark is not None and has_rewound:
            self.transcript.truncate_at(mark)
            self._reply = self._previous_reply = None
            self._reply_uuid = None if mark.has_tool_results else mark.previous_reply_uuid
        return has_rewound

    async def _rewind(self, target_uuid: str, deadline: float, *, to_reply: bool = False) -> bool:
        newest = self.transcript.newest_mark
        assert newest is not None
        await self._connection.write(
            self._connection.protocol.rewind(target_uuid, newest.uuid, to_reply=to_reply), deadline=deadline
        )
        await self._connection.wait_controls_answered(deadline)
        return self._connection.protocol.has_rewound

    async def _replay_user_turn(self, prefix_key: str, turn: Turn, deadline: float) -> None:
        await self._send_user_turn(self._connection.protocol.replay_user(turn), prefix_key, turn, deadline)
        await self._connection.wait_idle(deadline)

    async def _send_user_turn(self, frame: Frame, prefix_key: str, turn: Turn, deadline: float) -> None:
        """Send a user turn to the process.

        The turn is added to the transcript before it is sent, because the process may already have it if the client
        disconnects in the meantime.
        """
        self.transcript.add_user_turn(prefix_key, frame["uuid"], turn, self._reply_uuid)
        self._previous_reply, self._reply, self._reply_uuid = self._reply, None, None
        await self._connection.write(frame, deadline=deadline)

    async def _replay_reply(self, reply: Turn, model: str, deadline: float) -> None:
        frame = self._connection.protocol.replay_assistant(reply, model)
        await self._connection.write(frame, deadline=deadline)
        self._reply, self._reply_uuid = reply, frame["uuid"]
