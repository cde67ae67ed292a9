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
        has_tool_results: Whether the turn contains tool results. The CLI cannot remove such a turn, because that would
            separate a tool call from its results.
    """

    prefix_key: str
    uuid: str
    has_tool_results: bool


class Transcript:
    """The user turns that a process holds, oldest first.

    Attributes:
        conversation_key: The key of the whole conversation in the process. None while the content after the last user
            turn is unknown: during a reply, and after a reply that failed or was abandoned.
    """

    def __init__(self) -> None:
        self.conversation_key: str | None = None
        self._marks: list[UserTurnMark] = []
        self._mark_indexes: dict[str, int] = {}

    @property
    def newest_mark(self) -> UserTurnMark | None:
        """The newest user turn, or None if the process holds no turns."""
        return self._marks[-1] if self._marks else None

    @property
    def previous_conversation_key(self) -> str | None:
        """The key of the conversation without its last user turn and reply, or None if the CLI cannot remove these."""
        return None if self.newest_mark is None or self.newest_mark.has_tool_results else self.newest_mark.prefix_key

    def add_user_turn(self, prefix_key: str, uuid: str, turn: Turn) -> None:
        """Add a user turn that was sent to the process."""
        self._mark_indexes[prefix_key] = len(self._marks)
        self._marks.append(UserTurnMark(prefix_key, uuid, any(isinstance(block, ToolResult) for block in turn.blocks)))
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
            if index is not None and not self._marks[index].has_tool_results:
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
