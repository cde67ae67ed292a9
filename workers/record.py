"""Where an agent's conversation can be taken up by another process. Pure.

The CLI writes down what it sends and gets, in a file of its own, and takes it up from there to the byte: calls,
results and what it put between them included (CLI 2.1.330, `--resume` with `--resume-session-at`). What is kept beside
that file is which message of it ends which conversation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from workers.continuation import Beginnings, beginnings
from workers.frames import Frame
from workers.job import ChatJob

# They become arguments of a process.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_ENDS = 1_000


@dataclass(frozen=True, slots=True)
class Resumption:
    """What is now the conversation `end`, with `model`, stands in the CLI's `session` up to the message `at`."""

    session: str
    at: str
    end: str
    model: str


@dataclass(frozen=True, slots=True)
class Record:
    """`session` is the CLI's name for its file, `ends` the last message of each conversation that has ended in it, by
    `names_on_record`."""

    session: str = ""
    ends: Mapping[str, str] = field(default_factory=dict)

    def with_end(self, name: str, session: Any, message: Any) -> "Record":
        """The same where these are no ids, and nothing but this where the CLI has begun another file."""
        if not _is_id(session) or not _is_id(message):
            return self
        ends = {**(self.ends if session == self.session else {}), name: message}
        return Record(session, dict(list(ends.items())[-_MOST_ENDS:]))

    def resumption(self, job: ChatJob) -> Resumption | None:
        """The longest beginning of the job's conversation that is on record; the first of them is the empty one."""
        pairs = list(zip(names_on_record(job), beginnings(job), strict=True))
        for name, end in reversed(pairs[1:]):
            if name in self.ends:
                return Resumption(self.session, self.ends[name], end, job.model)
        return None

    def written(self) -> bytes:
        return orjson.dumps({"session": self.session, "ends": self.ends})


NO_RECORD = Record()


def read(written: bytes) -> Record:
    """An empty one of anything that is none."""
    try:
        value = orjson.loads(written)
    except orjson.JSONDecodeError:
        return NO_RECORD
    match value:
        case {"session": session, "ends": dict(ends)} if _is_id(session) and all(map(_is_id, ends.values())):
            return Record(session, ends)
    return NO_RECORD


def names_on_record(job: ChatJob) -> Beginnings:
    """A job's beginnings by what was said alone: another model or prompt goes on from the same words."""
    return beginnings(replace(job, model="", system=""))


class LastMessage:
    """Feed it the frames of an answer; `id` is that of its last message, None where the CLI has not told all of it."""

    def __init__(self) -> None:
        self.session: Any = None
        self._id: Any = None
        # Each block has a frame of its own once it is whole.
        self._untold = 0

    @property
    def id(self) -> Any:
        return self._id if self._untold <= 0 else None

    def feed(self, frame: Frame) -> None:
        if frame.get("parent_tool_use_id") is not None:
            return
        match frame:
            case {"type": "stream_event", "event": {"type": "message_start"}}:
                self._id, self._untold = None, 0
            case {"type": "stream_event", "event": {"type": "content_block_stop"}}:
                self._untold += 1
            case {"type": "assistant"} if not frame.get("error"):
                self._id, self.session = frame.get("uuid"), frame.get("session_id")
                self._untold -= 1


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
