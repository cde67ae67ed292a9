"""The conversation that stands in a process: gone on with, cut back, put right after an answer that was cut off.

The CLI cuts a conversation in front of any message in a few milliseconds (`rewind_conversation`), and leaves nothing
of its own behind; its command `/clear` would. Seen on CLI 2.1.330 (claude_gateway/cli_facts/chat.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workers.continuation import Beginnings, Reply, after
from workers.events import Finished
from workers.frames import Frame
from workers.job import ChatJob, Text, ToolUse, Turn
from workers.link import Link
from workers.prepared import Prepared
from workers.protocol import is_taken_for_nothing
from workers.transcript import Mark, Transcript

# How an answer ends after which the conversation can go on as it stands, and after which it must be put right first.
_WHOLE = ("end_turn", "stop_sequence")
_CUT_OFF = ("tool_use", "max_tokens")


@dataclass(frozen=True, slots=True)
class CutOff:
    """An answer that ended before the CLI's turn did: what was asked, after what, and what came."""

    before: str
    asked: Turn
    reply: Turn
    model: str


class Resident:
    """`standing` is what is in the process; between a question and its end nobody can say what that is."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.standing = Transcript()
        self._cut_off: CutOff | None = None
        # Where a cut was asked for whose answer has not been read yet.
        self._cutting: Mark | None = None
        # The CLI's id of the answer's first message.
        self._reply_uuid: str | None = None

    @property
    def is_to_be_stopped(self) -> bool:
        """True while the CLI may be in a turn whose end nobody waits for."""
        return self._cut_off is not None or self.standing.end is None

    async def take_up(self, prepared: Prepared, before: Beginnings, turns: Sequence[Turn], deadline: float) -> None:
        """The process was started with these turns in it; an open call at their end the CLI took for a broken one."""
        self.standing.empty()
        for name, turn, uuid in zip(before, turns[::2], prepared.uuids, strict=False):
            self.standing.add(name, uuid, turn)
        self.standing.end = before[-1]
        asked, reply = turns[-2:]
        if any(isinstance(block, ToolUse) for block in reply.blocks):
            self._cut_off = CutOff(before[-2], asked, reply, prepared.model)
            self._reply_uuid = prepared.last_reply
            await self.put_right(deadline)

    async def go_back(self, before: Beginnings, deadline: float) -> int:
        """Cut the conversation back to what it has in common with a job's; returns how many of the user's turns
        still stand. From here on it is no longer the one that was left, whatever becomes of the job. Raises
        `WorkerError` where the CLI does not cut: what stands in the process is then unknown."""
        stay, mark = self.standing.way_back(before)
        self.standing.end = None
        if mark is not None and not await self._cut(mark, deadline):
            raise self._link.distrust("it did not cut its conversation")
        return stay

    async def put_back(self, job: ChatJob, before: Beginnings, stay: int, deadline: float) -> None:
        """Put in what of the job's history is not there yet; `stay` of the user's turns are."""
        # Turns alternate, the user's first: two of them for each that stays.
        for number, turn in enumerate(job.turns[2 * stay : -1]):
            if turn.role == "user":
                await self._load(before[stay + number // 2], turn, deadline)
            else:
                await self._link.write(self._link.protocol.append(turn, job.model), deadline=deadline)

    async def ask(self, before: str, turn: Turn, deadline: float) -> None:
        self._link.mark_turn()
        await self._put_in(self._link.protocol.ask(turn), before, turn, deadline)

    def note(self, frame: Frame) -> None:
        """Take notice of a frame of the answer."""
        if self._reply_uuid is None and frame["type"] == "assistant" and not frame.get("error"):
            self._reply_uuid = frame.get("uuid")

    def conclude(self, job: ChatJob, before: str, reply: Reply, end: Finished) -> None:
        """Name the conversation as it stands after an answer, also where it is yet to be put right."""
        said = reply.turn() if end.stop_reason in (*_WHOLE, *_CUT_OFF) else None
        # Behind an answer without a word the CLI has put its own request for one: the next job cuts that away.
        if said is None or not any(isinstance(block, Text | ToolUse) for block in said.blocks):
            return
        asked = job.turns[-1]
        self.standing.end = after(before, asked, said)
        if end.stop_reason in _CUT_OFF or is_taken_for_nothing(said.blocks[0]):
            self._cut_off = CutOff(before, asked, said, job.model)

    async def put_right(self, deadline: float) -> None:
        """After an answer that ended before the CLI's turn did, leave exactly the question and the answer: the CLI
        has put its own words about the interruption behind them. A cut that nobody waited for is taken note of."""
        self._note_cut()
        if self._cut_off is None:
            return
        cut_off, self._cut_off = self._cut_off, None
        name, self.standing.end = self.standing.end, None
        if await self._take_out_reply(cut_off, deadline):
            frame = self._link.protocol.append(cut_off.reply, cut_off.model)
            await self._link.write(frame, deadline=deadline)
            self.standing.end = name

    async def _take_out_reply(self, cut_off: CutOff, deadline: float) -> bool:
        """The CLI cuts in front of a question, but not where that holds results, and in front of an answer only
        there."""
        mark = self.standing.newest
        assert mark is not None
        if mark.has_results:
            return self._reply_uuid is not None and await self._rewind(self._reply_uuid, deadline, to_reply=True)
        if not await self._cut(mark, deadline):
            return False
        await self._load(cut_off.before, cut_off.asked, deadline)
        return True

    async def _cut(self, mark: Mark, deadline: float) -> bool:
        """Cut in front of a mark. The client may leave before the CLI has answered: `put_right` takes note then."""
        self._cutting = mark
        await self._rewind(mark.uuid, deadline)
        return self._note_cut()

    def _note_cut(self) -> bool:
        """Take note of an answered cut; True where the CLI made it."""
        mark, self._cutting = self._cutting, None
        done = mark is not None and self._link.protocol.rewound
        if mark is not None and done:
            self.standing.cut(mark)
        return done

    async def _rewind(self, target: str, deadline: float, *, to_reply: bool = False) -> bool:
        newest = self.standing.newest
        assert newest is not None
        await self._link.write(self._link.protocol.rewind(target, newest.uuid, to_reply=to_reply), deadline=deadline)
        await self._link.answered(deadline)
        return self._link.protocol.rewound

    async def _load(self, before: str, turn: Turn, deadline: float) -> None:
        await self._put_in(self._link.protocol.load(turn), before, turn, deadline)
        await self._link.idle(deadline)

    async def _put_in(self, frame: Frame, before: str, turn: Turn, deadline: float) -> None:
        """Send a turn of the user's. Noted before it is sent: whoever leaves now leaves a process that may have it."""
        self.standing.add(before, frame["uuid"], turn)
        self._reply_uuid = None
        await self._link.write(frame, deadline=deadline)
