"""A caller's messages as the turns that the Messages API takes, whatever the dialect. Pure.

What callers may send and the API refuses is put right here, and said: several messages of one role in a row, blank
ones, one of the assistant's first or last, calls without an answer.
"""

from collections import Counter
from dataclasses import replace

from claude_gateway.errors import ApiError
from workers.job import Block, Role, Text, ToolResult, ToolUse, Turn

# Each costs its worker about five milliseconds before the upstream hears of the job.
_MOST_TURNS = 2_000
_BEGIN = "(The conversation begins with your own message.)"
_GO_ON = "Continue your last message exactly where it stopped, without repeating any of it."
_NO_RESULT = "The call was given up; there is no result."


class Conversation:
    """Add the messages in their order, then take the `turns`. `notes` says what had to give way."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._turns: list[tuple[Role, list[Block]]] = []

    @property
    def begun(self) -> bool:
        return bool(self._turns)

    def add(self, role: Role, blocks: list[Block]) -> None:
        """A message; a text block that is blank is dropped, for the API takes none."""
        kept = [block for block in blocks if not isinstance(block, Text) or block.text.strip()]
        if self._turns and self._turns[-1][0] == role:
            self._turns[-1][1].extend(kept)
        elif kept:
            self._turns.append((role, kept))

    def turns(self) -> tuple[Turn, ...]:
        """Alternating, the user's first and last. Raises `ApiError` 400 where no sense can be made of it."""
        if not any(role == "user" for role, _ in self._turns):
            raise bad("messages", "there is no user message with anything in it")
        if len(self._turns) > _MOST_TURNS:
            raise bad("messages", f"there are {len(self._turns)} turns, and at most {_MOST_TURNS} are put back")
        if self._turns[0][0] == "assistant":
            self._turns.insert(0, ("user", [Text(_BEGIN)]))
            self.notes.append("messages: a user's turn that says so was put before the assistant's first")
        if self._turns[-1][0] == "assistant":
            self._turns.append(("user", []))
            if not any(isinstance(block, ToolUse) for block in self._turns[-2][1]):
                self._turns[-1][1].append(Text(_GO_ON))
                self.notes.append("messages: the last one is the assistant's; Claude is asked to continue it")
        self._answer_every_call()
        self._tell_calls_apart()
        return tuple(Turn(role, _results_first(blocks)) for role, blocks in self._turns)

    def _answer_every_call(self) -> None:
        """The API wants each call answered in the very next turn. A result of no call, or a second one, is the
        caller's mistake; a call that was given up gets a result that says so."""
        waiting: dict[str, int] = {}
        for role, blocks in self._turns:
            if role == "assistant":
                waiting = Counter(block.id for block in blocks if isinstance(block, ToolUse))
                for id_, count in waiting.items():
                    if count > 1:
                        raise bad("messages", f"two calls of one message have the id {id_[:80]!r}")
                continue
            results = Counter(block.tool_use_id for block in blocks if isinstance(block, ToolResult))
            for id_, count in results.items():
                if id_ not in waiting:
                    raise bad("messages", f"{id_[:80]!r} is no call of the message before its result")
                if count > 1:
                    raise bad("messages", f"{id_[:80]!r} has more than one result")
            for id_ in waiting:
                if id_ not in results:
                    self.notes.append(f"messages: the call {id_[:80]!r} has no answer; Claude is told so")
                    blocks.append(ToolResult(id_, (Text(_NO_RESULT),), is_error=True))
            waiting = {}

    def _tell_calls_apart(self) -> None:
        """The API wants another id for each call of the whole conversation. Programs that count within a message are
        given others from the second use on, by where it stands: the same ones each time."""
        used: set[str] = set()
        renamed: dict[str, str] = {}
        for number, (role, blocks) in enumerate(self._turns):
            if role == "assistant":
                ids = {block.id for block in blocks if isinstance(block, ToolUse)}
                renamed = {id_: _another(f"{id_}_{number}", used | ids) for id_ in sorted(ids & used)}
                used |= ids | set(renamed.values())
            if renamed:
                blocks[:] = [_renamed(block, renamed) for block in blocks]


def _another(name: str, taken: set[str]) -> str:
    return name if name not in taken else _another(f"{name}_", taken)


def _renamed(block: Block, names: dict[str, str]) -> Block:
    match block:
        case ToolUse(id_) if id_ in names:
            return replace(block, id=names[id_])
        case ToolResult(id_) if id_ in names:
            return replace(block, tool_use_id=names[id_])
    return block


def bad(param: str, message: str) -> ApiError:
    """A 400 that names its place."""
    return ApiError(400, "validation_error", f"{param}: {message}", code="invalid_request_error", param=param)


def _results_first(blocks: list[Block]) -> tuple[Block, ...]:
    """The API wants a turn's tool results before its text."""
    return tuple(sorted(blocks, key=lambda block: not isinstance(block, ToolResult)))
