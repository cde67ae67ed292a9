"""A caller's messages as the turns that the Messages API takes, whatever the dialect. Pure.

What callers may send and the API refuses is put right here, and said: several messages of one role in a row, blank
ones, one of the assistant's first or last, calls and results that are no pairs, a system prompt alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from operator import itemgetter
from typing import Any

from claude_gateway.errors import ApiError
from claude_gateway.prompt.remote_media import as_named
from claude_gateway.prompt.tool_pairs import NO_RESULT, put_in_pairs, result_alone, unused
from workers.continuation import canonical
from workers.job import Block, RedactedThought, Role, Text, Thought, ToolResult, ToolUse, Turn

# Each costs its worker about five milliseconds before the upstream hears of the job.
_MOST_TURNS = 2_000
_BEGIN = "(The conversation begins with your own message.)"
_GO_ON = "Continue your last message exactly where it stopped, without repeating any of it."
_FAILED = "The call failed without a word."
# A question and its answer: nobody sends both once more by chance.
_AN_EXCHANGE = 2


@dataclass(frozen=True, slots=True)
class ProviderCall(Text):
    """What a tool of the provider's own did, in words. A session remembers its answers without it."""


# The whole answer of a model in which a call was made, by the call's id; None where nobody knows it any more.
Recall = Callable[[str, str], Turn | None]
_Turns = list[tuple[Role, list[Block]]]


def _nothing(_model: str, _call: str) -> Turn | None:
    return None


def first_call(blocks: Iterable[Block]) -> str | None:
    """The id of the call by which an answer is found again."""
    return next(iter(_calls(blocks)), None)


def has_thoughts(blocks: Iterable[Block]) -> bool:
    return any(isinstance(block, Thought | RedactedThought) for block in blocks)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What Claude remembers of a session: its system prompt, and its turns as they went to the model and came from
    it. They alternate, the user's first. `size` is how many bytes they take as they are stored. `reply` finds answers
    that callers send back without their thoughts."""

    system: str = ""
    turns: tuple[Turn, ...] = ()
    size: int = field(default=0, compare=False)
    reply: Recall = field(default=_nothing, repr=False, compare=False)


NOTHING = Remembered()


class Conversation:
    """Add the messages in their order, then take the `turns`. `notes` says what had to give way, `place` is how the
    dialect calls the messages.

    Where turns are remembered, the messages go on from them. A caller may send his whole history all the same: when it
    begins as what is remembered begins, with an exchange at least, nothing of it is doubled, and what he tells
    differently from some turn on counts as he tells it.
    """

    def __init__(self, remembered: Remembered = NOTHING, place: str = "messages") -> None:
        self.notes: list[str] = []
        self._place = place
        self._remembered = remembered.turns
        self._reply = remembered.reply
        self._turns: _Turns = []

    @property
    def begun(self) -> bool:
        return bool(self._turns)

    def add(self, role: Role, blocks: list[Block]) -> None:
        """A message; a text block that is blank is dropped, for the API takes none."""
        plain = [part for block in blocks for part in self._plain(block)]
        kept = [block for block in plain if not isinstance(block, Text) or block.text.strip()]
        if self._turns and self._turns[-1][0] == role:
            self._turns[-1][1].extend(kept)
        elif kept:
            self._turns.append((role, kept))

    def ask_system(self, system: Sequence[str]) -> list[str]:
        """What remains as the system prompt. Where nothing else was sent its text becomes the user's message: the API
        answers no system prompt alone, as others do."""
        texts = [text for text in system if text.strip()]
        if not texts or any(role == "user" for role, _ in self._turns):
            return texts
        self._turns.insert(0, ("user", [Text(text) for text in texts]))
        self.notes.append(f"{self._place}: there is no user message; the system prompt is given to Claude as one")
        return []

    def turns(self, model: str = "") -> tuple[Turn, ...]:
        """Alternating, the user's first and last, for the model. Raises `ApiError` 400 where no sense can be made of
        it."""
        if not any(role == "user" for role, _ in self._turns):
            raise bad(self._place, "there is no user message with anything in it")
        if self._remembered:
            self._recall()
        elif (alone := result_alone(self._turns)) is not None:
            shown = repr(alone.tool_use_id[:80])
            raise bad(self._place, f"{shown} is no call of the message before its result; send the whole conversation")
        self._put_thoughts_back(model)
        if len(self._turns) > _MOST_TURNS:
            raise bad(self._place, f"there are {len(self._turns)} turns, and at most {_MOST_TURNS} are put back")
        if self._turns[0][0] == "assistant":
            self._turns.insert(0, ("user", [Text(_BEGIN)]))
            self.notes.append(f"{self._place}: a user's turn that says so was put before the assistant's first")
        if self._turns[-1][0] == "assistant":
            self._turns.append(("user", []))
            if not any(isinstance(block, ToolUse) for block in self._turns[-2][1]):
                self._turns[-1][1].append(Text(_GO_ON))
                self.notes.append(f"{self._place}: the last one is the assistant's; Claude is asked to continue it")
        put_in_pairs(self._turns, self._place, self.notes)
        self._tell_calls_apart()
        return tuple(Turn(role, tuple(map(_plain_text, _results_first(blocks)))) for role, blocks in self._turns)

    def _recall(self) -> None:
        """Put what is remembered before what was sent, but for what was sent once more."""
        past, new = self._remembered, self._turns
        sent, paired, again = max(map(self._compared, (new, _without_provider_calls(new))), key=itemgetter(2))
        if again >= _AN_EXCHANGE:
            past, new = past[:again], sent[again:]
            if new:
                new[0] = (new[0][0], _answers_to(past[-1], paired[again - 1][1], new[0][1]))
            if again < len(self._remembered):
                self.notes.append(
                    f"session_id: what it remembers from turn {again + 1} on was not sent, and is replaced"
                )
        self._turns = [(turn.role, list(turn.blocks)) for turn in past]
        for role, blocks in new:
            self.add(role, blocks)

    def _put_thoughts_back(self, model: str) -> None:
        """Where a caller sends an answer with calls and without the thoughts before them, word for word, it is whole
        again."""
        for role, blocks in self._turns:
            call = first_call(blocks)
            if role == "user" or call is None or has_thoughts(blocks):
                continue
            reply = self._reply(model, call)
            if reply is not None and canonical(reply) == canonical(Turn(role, tuple(blocks))):
                blocks[:] = reply.blocks

    def _compared(self, new: _Turns) -> tuple[_Turns, _Turns, int]:
        """The turns as a history of their own, as sent and as they are kept, and how many of them, from the first on,
        are those remembered."""
        sent = list(new)
        if sent[0][0] == "assistant":
            sent.insert(0, ("user", [Text(_BEGIN)]))
        paired = [(role, list(blocks)) for role, blocks in sent]
        put_in_pairs(paired, self._place, [])
        return sent, paired, self._again(paired)

    def _again(self, sent: _Turns) -> int:
        """How many turns, from the first on, are those remembered."""
        known = _comparable(self._remembered)
        told = _comparable(Turn(role, tuple(blocks)) for role, blocks in sent)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(known, told, strict=False)))

    def _tell_calls_apart(self) -> None:
        """The API wants another id for each call of the whole conversation. Programs that count within a message are
        given others from the second use on, by where it stands: the same ones each time."""
        used: set[str] = set()
        renamed: dict[str, str] = {}
        for number, (role, blocks) in enumerate(self._turns):
            if role == "assistant":
                ids = {block.id for block in blocks if isinstance(block, ToolUse)}
                renamed = {id_: unused(f"{id_}_{number}", used | ids) for id_ in sorted(ids & used)}
                used |= ids | set(renamed.values())
            if renamed:
                blocks[:] = [_renamed(block, renamed) for block in blocks]

    def _plain(self, block: Block) -> list[Block]:
        """The result of a call that failed is text and not empty, or the API refuses it, and Claude Code drops what
        is no text. An image goes behind the results, where the model still sees it."""
        if not isinstance(block, ToolResult) or not block.is_error:
            return [block]
        texts = tuple(part for part in block.content if isinstance(part, Text))
        rest = [part for part in block.content if not isinstance(part, Text)]
        if rest:
            id_ = block.tool_use_id[:80]
            self.notes.append(f"{self._place}: what came with the error of {id_!r} was put behind the results")
        return [replace(block, content=texts or (Text(_FAILED),)), *rest]


def _without_provider_calls(turns: _Turns) -> _Turns:
    kept: _Turns = []
    for role, blocks in turns:
        rest = [block for block in blocks if not isinstance(block, ProviderCall)]
        if kept and kept[-1][0] == role:
            kept[-1] = (role, [*kept[-1][1], *rest])
        elif rest:
            kept.append((role, rest))
    return kept or turns


def _plain_text(block: Block) -> Block:
    return Text(block.text) if isinstance(block, ProviderCall) else block


def _renamed(block: Block, names: dict[str, str]) -> Block:
    match block:
        case ToolUse(id_) if id_ in names:
            return replace(block, id=names[id_])
        case ToolResult(id_) if id_ in names:
            return replace(block, tool_use_id=names[id_])
    return block


def reminder(text: str) -> Text:
    """What the caller's program says between the messages. Where it stands matters to the model, and the bytes before
    it to the prompt cache, so it is not moved into the system prompt."""
    return Text(f"<system-reminder>\n{text}\n</system-reminder>")


def bad(param: str, message: str) -> ApiError:
    """A 400 that names its place."""
    return ApiError(400, "validation_error", f"{param}: {message}", code="invalid_request_error", param=param)


def _results_first(blocks: list[Block]) -> tuple[Block, ...]:
    """The API wants a turn's tool results before its text."""
    return tuple(sorted(blocks, key=lambda block: not isinstance(block, ToolResult)))


def _calls(blocks: Iterable[Block]) -> list[str]:
    """The ids of a message's calls, in their order."""
    return [block.id for block in blocks if isinstance(block, ToolUse)]


def _answers_to(remembered: Turn, told: Iterable[Block], blocks: list[Block]) -> list[Block]:
    """What follows a message that is remembered, in the names that its calls have there; the caller may have told of
    them by others."""
    names = dict(zip(_calls(told), _calls(remembered.blocks), strict=True))
    return [_renamed(block, names) for block in blocks]


def _comparable(turns: Iterable[Turn]) -> Iterator[list[Any]]:
    """Turns without what was put into them here. A call counts by where it stands and not by its id, of which programs
    have their own; what was fetched by its URL."""
    calls: dict[str, int] = {}
    for turn in turns:
        own = [as_named(block) for block in _results_first(_sent(turn))]
        if turn.role == "assistant":
            calls = {id_: number for number, id_ in enumerate(_calls(own))}
        yield [turn.role, [_numbered(frame, calls) for frame in canonical(Turn(turn.role, tuple(own)))]]


def _sent(turn: Turn) -> list[Block]:
    return [block for block in turn.blocks if not isinstance(block, ToolResult) or block.content != (Text(NO_RESULT),)]


def _numbered(frame: dict[str, Any], calls: dict[str, int]) -> dict[str, Any]:
    match frame:
        case {"type": "tool_use", "id": id_}:
            return {**frame, "id": calls[id_]}
        case {"type": "tool_result", "tool_use_id": id_}:
            return {**frame, "tool_use_id": calls.get(id_, id_)}
    return frame
