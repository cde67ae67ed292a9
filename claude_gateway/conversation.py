"""A caller's messages as the turns that the Messages API takes, whatever the dialect. Pure.

What callers may send and the API refuses is put right here, and said: several messages of one role in a row, blank
ones, one of the assistant's first or last, calls without an answer.
"""

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
        return tuple(Turn(role, _results_first(blocks)) for role, blocks in self._turns)

    def _answer_every_call(self) -> None:
        """The API wants each call answered in the very next turn. A result of no call, or a second one, is the
        caller's mistake; a call that was given up gets a result that says so."""
        waiting: list[str] = []
        for role, blocks in self._turns:
            if role == "assistant":
                waiting = [block.id for block in blocks if isinstance(block, ToolUse)]
                if len(set(waiting)) < len(waiting):
                    raise bad("messages", "two calls of one message have the same id")
                continue
            results = [block.tool_use_id for block in blocks if isinstance(block, ToolResult)]
            for id_ in results:
                if id_ not in waiting or results.count(id_) > 1:
                    wrong = (
                        "has more than one result" if id_ in waiting else "is no call of the message before its result"
                    )
                    raise bad("messages", f"{id_[:80]!r} {wrong}")
            for id_ in waiting:
                if id_ not in results:
                    self.notes.append(f"messages: the call {id_[:80]!r} has no answer; Claude is told so")
                    blocks.append(ToolResult(id_, (Text(_NO_RESULT),), is_error=True))
            waiting = []


def bad(param: str, message: str) -> ApiError:
    """A 400 that names its place."""
    return ApiError(400, "validation_error", f"{param}: {message}", code="invalid_request_error", param=param)


def _results_first(blocks: list[Block]) -> tuple[Block, ...]:
    """The API wants a turn's tool results before its text."""
    return tuple(sorted(blocks, key=lambda block: not isinstance(block, ToolResult)))
