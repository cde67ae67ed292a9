"""Resume files, with which a new process resumes a long conversation (`--resume`). No I/O.

If the gateway replays a conversation, each turn takes three to five milliseconds. A new process takes half a second to
start, and then a third of a millisecond to read each turn from the file (CLI 2.1.330,
tests/e2e/conversations/test_long_history.py).
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.core.frame import encode_line
from workers.core.job import Turn
from workers.core.message_blocks import encode_assistant_message, encode_block

# If a process lacks more user turns of a job than this, a new process with a resume file is faster than a replay.
RESUME_THRESHOLD_USER_TURNS = 120
# The CLI requires a timestamp and does not use it.
_PLACEHOLDER_TIMESTAMP = "2000-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class ResumeFile:
    """A conversation in the file format of the CLI.

    Attributes:
        model: The model with which the process must be started. If the gateway changed the model later, the CLI would
            add a note to the conversation.
        content: The content of the file.
        turn_uuids: The ids of all turns in the file. The first is the id of a user turn, the last that of a reply.
    """

    model: str
    content: bytes
    turn_uuids: tuple[str, ...]


def build_resume_file(
    turns: Sequence[Turn], model: str, create_id: Callable[[], str] = lambda: str(uuid.uuid4())
) -> ResumeFile:
    """Build the resume file of a conversation.

    Args:
        turns: The turns of the conversation. User and assistant alternate. The first turn is the user's, the last is a
            reply.
        model: The model of the conversation.
        create_id: A function that creates the ids of the turns and of the session.
    """
    session_id = create_id()
    parent_id: str | None = None
    rows: list[dict[str, Any]] = []
    for turn in turns:
        row_id = create_id()
        if turn.role == "user":
            message: dict[str, Any] = {"role": "user", "content": [encode_block(block) for block in turn.blocks]}
        else:
            message = encode_assistant_message(turn, model, f"msg_{create_id()}")
        rows.append(
            {
                "type": turn.role,
                "parentUuid": parent_id,
                "isSidechain": False,
                "uuid": row_id,
                "sessionId": session_id,
                "timestamp": _PLACEHOLDER_TIMESTAMP,
                "message": message,
            }
        )
        parent_id = row_id
    return ResumeFile(model, b"".join(map(encode_line, rows)), tuple(row["uuid"] for row in rows))
