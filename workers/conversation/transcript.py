"""The user turns that a process holds, and the turns to which the gateway can rewind the process. No I/O."""

from dataclasses import dataclass

from workers.conversation.prefix_keys import PrefixKeys
from workers.core.job import ToolResult, Turn


@dataclass(frozen=True, slots=True)
class UserTurnMark:
    """A user turn that a process holds.

    Attributes:
        prefix_key: The key of the conversation before the turn.
        uuid: The id that the CLI uses for the turn.
        has_tool_results: Whether the turn contains tool results. The CLI cannot remove such a turn alone, because that
            would separate a tool call from its results.
        previous_reply_uuid: The id that the CLI uses for the first message of the reply before the turn, or None if
            there is no such reply, if its id is unknown, or if the CLI cannot rewind to it. The CLI can rewind only to
            a reply to tool results (CLI 2.1.332).
    """

    prefix_key: str
    uuid: str
    has_tool_results: bool
    previous_reply_uuid: str | None = None

    @property
    def is_removable(self) -> bool:
        """Whether the CLI can remove the turn, alone or together with the reply before it."""
        return not self.has_tool_results or self.previous_reply_uuid is not None


class Transcript:
    """The user turns that a process holds, oldest first.

    Attributes:
        conversation_key: The key of the whole conversation in the process. None while the content after the last user
            turn is unknown: during a reply, and after a reply that failed or was abandoned.
        repaired_conversation_key: The key that the conversation will have at the end of the repair that is running, or
            None if no repair is running.
    """

    def __init__(self) -> None:
        self.conversation_key: str | None = None
        self.repaired_conversation_key: str | None = None
        self._marks: list[UserTurnMark] = []
        self._mark_indexes: dict[str, int] = {}

    @property
    def newest_mark(self) -> UserTurnMark | None:
        """The newest user turn, or None if the process holds no turns."""
        return self._marks[-1] if self._marks else None

    @property
    def previous_mark(self) -> UserTurnMark | None:
        """The user turn before the newest one, or None if the process holds fewer than two turns."""
        return self._marks[-2] if len(self._marks) > 1 else None

    @property
    def previous_conversation_key(self) -> str | None:
        """The key of the conversation without its last user turn and reply, or None if the process holds no turns.

        If the CLI cannot remove only these, it removes the exchange before them too, and the gateway replays that.
        """
        return self.newest_mark.prefix_key if self.newest_mark else None

    def add_user_turn(self, prefix_key: str, uuid: str, turn: Turn, previous_reply_uuid: str | None = None) -> None:
        """Add a user turn that was sent to the process."""
        has_tool_results = any(isinstance(block, ToolResult) for block in turn.blocks)
        is_reply_to_results = self.newest_mark is not None and self.newest_mark.has_tool_results
        reply_uuid = previous_reply_uuid if is_reply_to_results else None
        self._mark_indexes[prefix_key] = len(self._marks)
        self._marks.append(UserTurnMark(prefix_key, uuid, has_tool_results, reply_uuid))
        self.conversation_key = None

    def find_rewind_point(self, prefix_keys: PrefixKeys) -> tuple[int, UserTurnMark | None]:
        """Find the longest common prefix of this conversation and the conversation of a job.

        Args:
            prefix_keys: The prefix keys of the job.

        Returns:
            The number of the job's user turns that the process can keep, and the first turn that it must remove. The
            turn is None if the process can keep all turns. If there is no common prefix, the process must remove all
            turns.
        """
        if self.conversation_key in prefix_keys:
            return prefix_keys.index(self.conversation_key), None
        for number in range(len(prefix_keys) - 1, -1, -1):
            index = self._mark_indexes.get(prefix_keys[number])
            if index is not None and self._marks[index].is_removable:
                return number, self._marks[index]
        return 0, self._marks[0] if self._marks else None

    def truncate_at(self, mark: UserTurnMark) -> None:
        """Remove a user turn and all later turns."""
        first = self._marks.index(mark)
        for removed in self._marks[first:]:
            self._mark_indexes.pop(removed.prefix_key, None)
        del self._marks[first:]
        self.conversation_key = None

    def clear(self) -> None:
        """Remove all turns."""
        self._marks.clear()
        self._mark_indexes.clear()
        self.conversation_key = None
