"""Index of an agent's transcript, with which another process can resume the conversation. No I/O.

The CLI records a conversation in a session file. A later process resumes the conversation from this file byte for byte,
with tool calls, results and the texts that the CLI itself adds (CLI 2.1.330, `--resume` with `--resume-session-at`).
For each recorded conversation, the index contains the id of its last message in the file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from workers.conversation.prefix_keys import PrefixKeys
from workers.core.frame import Frame

# The ids become arguments on a command line, so the gateway checks their form.
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_CONVERSATION_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A message in the CLI's session file after which a job can continue.

    Attributes:
        cli_session_id: The id that the CLI gave to the session file.
        message_uuid: The id of the last message to resume.
        conversation_key: The key of the conversation up to that message, computed with the model of the job.
        model: The model of the job.
    """

    cli_session_id: str
    message_uuid: str
    conversation_key: str
    model: str


@dataclass(frozen=True, slots=True)
class ResumeIndex:
    """The conversations that one session file of the CLI contains.

    Attributes:
        cli_session_id: The id that the CLI gave to the session file.
        message_uuids: The id of the last message of each conversation, by the content key of the conversation (the key
            computed without the model and the system prompt).
    """

    cli_session_id: str = ""
    message_uuids: Mapping[str, str] = field(default_factory=dict)

    def with_last_message(self, content_key: str, cli_session_id: Any, message_uuid: Any) -> "ResumeIndex":
        """Return the index with one more conversation.

        If an id is invalid, the index stays the same. If the session id is new, the CLI has started a new session file,
        so the entries for the old file are dropped.
        """
        if not _is_uuid(cli_session_id) or not _is_uuid(message_uuid):
            return self
        message_uuids = {
            **(self.message_uuids if cli_session_id == self.cli_session_id else {}),
            content_key: message_uuid,
        }
        return ResumeIndex(cli_session_id, dict(list(message_uuids.items())[-_MAX_CONVERSATION_COUNT:]))

    def find_resume_point(
        self, content_keys: PrefixKeys, conversation_keys: PrefixKeys, model: str
    ) -> ResumePoint | None:
        """Return the message that ends the longest prefix of the job's conversation that the index contains, or None.

        Args:
            content_keys: The prefix keys computed without the model and the system prompt. The first is the key of the
                empty conversation, which the index never contains.
            conversation_keys: The keys of the same prefixes, computed with the model and the system prompt.
            model: The model of the job.
        """
        pairs = list(zip(content_keys, conversation_keys, strict=True))
        for content_key, conversation_key in reversed(pairs[1:]):
            if content_key in self.message_uuids:
                return ResumePoint(self.cli_session_id, self.message_uuids[content_key], conversation_key, model)
        return None

    def to_json(self) -> bytes:
        """Return the index as JSON, in the form that `parse_resume_index` reads."""
        return orjson.dumps({"session": self.cli_session_id, "ends": self.message_uuids})


EMPTY_RESUME_INDEX = ResumeIndex()


def parse_resume_index(content: bytes) -> ResumeIndex:
    """Parse the JSON of an index. Return an empty index if the content is invalid."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return EMPTY_RESUME_INDEX
    match value:
        case {"session": session_id, "ends": dict(uuids)} if _is_uuid(session_id) and all(
            map(_is_uuid, uuids.values())
        ):
            return ResumeIndex(session_id, uuids)
    return EMPTY_RESUME_INDEX


class LastMessageTracker:
    """Finds the id of the last message of a reply in the frames of the CLI.

    Attributes:
        cli_session_id: The id that the CLI gave to the session file.
    """

    def __init__(self) -> None:
        self.cli_session_id: Any = None
        self._message_uuid: Any = None
        # The number of ended blocks for which the CLI has not yet sent an `assistant` frame. It sends one for each
        # complete block.
        self._pending_block_count = 0

    @property
    def message_uuid(self) -> Any:
        """The id of the last message, or None while the CLI has not sent all frames of the message."""
        return self._message_uuid if self._pending_block_count <= 0 else None

    def feed(self, frame: Frame) -> None:
        """Handle the next frame. The frames of subagents are ignored."""
        if frame.get("parent_tool_use_id") is not None:
            return
        match frame:
            case {"type": "stream_event", "event": {"type": "message_start"}}:
                self._message_uuid, self._pending_block_count = None, 0
            case {"type": "stream_event", "event": {"type": "content_block_stop"}}:
                self._pending_block_count += 1
            case {"type": "assistant"} if not frame.get("error"):
                self._message_uuid, self.cli_session_id = frame.get("uuid"), frame.get("session_id")
                self._pending_block_count -= 1


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None
