"""Convert the messages of a request in any dialect to the turns that the Messages API accepts. No I/O.

Clients may send conversations that the API rejects. For example, successive messages may have the same role, a message
may be blank, the first or the last message may have the role `assistant`, a call may have no result, a result may have
no call, or there may be a system prompt without any message. The gateway corrects such conversations. If a correction
changes the text that the model reads, the gateway adds a note for the client.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from operator import itemgetter
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content.remote_media import reduce_media_to_url
from claude_gateway.dialects.common.content.tool_result_pairing import (
    MISSING_RESULT_TEXT,
    find_orphan_result,
    make_unique_name,
    pair_calls_with_results,
)
from workers.conversation.prefix_keys import canonicalize_turn
from workers.core.job import Block, RedactedThinkingBlock, Role, Text, ThinkingBlock, ToolResult, ToolUse, Turn
from workers.core.message_blocks import is_plain_text

# The number of turns has a limit, because a worker needs about five milliseconds to write one turn of a conversation to
# a new process. The upstream receives the job only after that.
_MAX_TURNS = 2_000
_ASSISTANT_FIRST_TEXT = "(The conversation begins with your own message.)"
_CONTINUE_TEXT = "Continue your last message exactly where it stopped, without repeating any of it."
_EMPTY_ERROR_TEXT = "The call failed without an error message."
# If at least this many turns of a request equal the stored turns, the gateway assumes that the client has sent its
# history again. New messages are unlikely to equal both a stored user turn and the reply to this turn by chance.
_MIN_MATCHING_TURNS = 2


@dataclass(frozen=True, slots=True)
class HostedCallText(Text):
    """Text that replaces a call of a hosted or built-in tool, or the result of such a call, in a client's history.

    The replies that the gateway stores for a session do not contain these calls. Therefore the gateway ignores this
    text when it compares the history with the stored replies.
    """


# Function that finds a complete earlier reply. The arguments are the model and the id of a call in the reply. The
# result is None if the function does not know the call.
ReplyLookup = Callable[[str, str], Turn | None]
_TurnList = list[tuple[Role, list[Block]]]


def _find_no_reply(_model: str, _call_id: str) -> Turn | None:
    return None


def get_first_call_id(blocks: Iterable[Block]) -> str | None:
    """Return the id of the first tool call in a message, or None if there is no call.

    The gateway stores the reply that contains the call under this id, and finds the reply by this id later.
    """
    return next(iter(_list_call_ids(blocks)), None)


def has_thinking(blocks: Iterable[Block]) -> bool:
    """Return whether any of the blocks is a thinking block, readable or redacted."""
    return any(isinstance(block, ThinkingBlock | RedactedThinkingBlock) for block in blocks)


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """The stored conversation of a session. The request continues this conversation.

    Attributes:
        system: System prompt of the session.
        turns: Turns of the user as the gateway sent them to the upstream, and replies as the gateway received them. The
            roles alternate, and the first turn has the role `user`.
        size_bytes: Size of the turns in storage.
        find_reply: Function that finds a complete stored reply. The gateway calls the function if a client sends a
            reply back without the thinking.
    """

    system: str = ""
    turns: tuple[Turn, ...] = ()
    size_bytes: int = field(default=0, compare=False)
    find_reply: ReplyLookup = field(default=_find_no_reply, repr=False, compare=False)


EMPTY_HISTORY = SessionHistory()


class ConversationBuilder:
    """Collects the messages of a request in their order, and builds the turns of the job.

    The messages continue the stored history, if there is one. A client may also send its whole history again. If at
    least the first two turns of the request equal the stored turns, the gateway assumes that the client has done so.
    From the first different turn on, the turns of the request then replace the stored turns.

    Args:
        history: Stored conversation that the request continues.
        field_path: Field path of the messages.

    Attributes:
        notes: Notes for the client about the changes that the gateway made.
    """

    def __init__(self, history: SessionHistory = EMPTY_HISTORY, field_path: str = "messages") -> None:
        self.notes: list[str] = []
        self._field_path = field_path
        self._history_turns = history.turns
        self._find_reply = history.find_reply
        self._turns: _TurnList = []

    @property
    def has_turns(self) -> bool:
        """Whether any message with content has been added."""
        return bool(self._turns)

    def add_message(self, role: Role, blocks: list[Block]) -> None:
        """Append a message to the conversation. Omit its blank texts, because the API rejects blank texts."""
        parts = [part for block in blocks for part in self._split_failed_result(block)]
        non_blank = [part for part in parts if not isinstance(part, Text) or part.text.strip()]
        if self._turns and self._turns[-1][0] == role:
            self._turns[-1][1].extend(non_blank)
        elif non_blank:
            self._turns.append((role, non_blank))

    def resolve_system(self, system: Sequence[str]) -> list[str]:
        """Return the texts of the system prompt, without the blank texts.

        If the request has no user message, this method converts the system prompt to a user message and returns an
        empty list. Other APIs generate a reply to a system prompt alone, but the Messages API does not.
        """
        texts = [text for text in system if text.strip()]
        if not texts or any(role == "user" for role, _ in self._turns):
            return texts
        self._turns.insert(0, ("user", [Text(text) for text in texts]))
        self.notes.append(f"{self._field_path}: moved the system prompt into a user message (there is no other)")
        return []

    def build_turns(self, model: str = "") -> tuple[Turn, ...]:
        """Return the turns of the job. The roles alternate, and the first and the last turn have the role `user`.

        Raises:
            ApiError: 400 if there is no user message, if there are too many turns, or if the request contains only tool
                results, without the calls to which they belong.
        """
        if not any(role == "user" for role, _ in self._turns):
            raise bad_request(self._field_path, "there is no user message with content")
        if len(self._turns) == 1 and not self._history_turns:
            turn = Turn("user", tuple(self._turns[0][1]))
            if is_plain_text([turn]):
                return (turn,)  # none of the steps below changes it
        if self._history_turns:
            self._merge_history()
        elif (orphan := find_orphan_result(self._turns)) is not None:
            raise bad_request(
                self._field_path,
                f"the result of {orphan.tool_use_id[:80]!r} has no call in the message before it; "
                "send the whole conversation",
            )
        self._restore_thinking(model)
        if len(self._turns) > _MAX_TURNS:
            raise bad_request(
                self._field_path, f"the conversation has {len(self._turns)} turns; at most {_MAX_TURNS} are allowed"
            )
        if self._turns[0][0] == "assistant":
            self._turns.insert(0, ("user", [Text(_ASSISTANT_FIRST_TEXT)]))
            self.notes.append(f"{self._field_path}: added a user message (the first message has the role assistant)")
        if self._turns[-1][0] == "assistant":
            self._turns.append(("user", []))
            if not any(isinstance(block, ToolUse) for block in self._turns[-2][1]):
                self._turns[-1][1].append(Text(_CONTINUE_TEXT))
                self.notes.append(
                    f"{self._field_path}: added a request to continue (the last message has the role assistant)"
                )
        pair_calls_with_results(self._turns, self._field_path, self.notes)
        self._make_call_ids_unique()
        return tuple(
            Turn(role, tuple(map(_to_plain_text, _sort_results_first(blocks)))) for role, blocks in self._turns
        )

    def _merge_history(self) -> None:
        """Put the stored turns before the turns of the request.

        If the request repeats the beginning of the stored history, the result contains each repeated turn only once,
        and the turns of the request replace the later stored turns.
        """
        stored, new = self._history_turns, self._turns
        sent, paired, match_count = max(map(self._match_history, (new, _without_hosted_calls(new))), key=itemgetter(2))
        if match_count >= _MIN_MATCHING_TURNS:
            stored, new = stored[:match_count], sent[match_count:]
            if new:
                new[0] = (new[0][0], _use_history_call_ids(stored[-1], paired[match_count - 1][1], new[0][1]))
            if match_count < len(self._history_turns):
                self.notes.append(
                    f"session_id: changed the session from turn {match_count + 1} on (the request replaces these turns)"
                )
        self._turns = [(turn.role, list(turn.blocks)) for turn in stored]
        for role, blocks in new:
            self.add_message(role, blocks)

    def _restore_thinking(self, model: str) -> None:
        """Restore the thinking in replies with tool calls if the client has sent these replies without thinking.

        A stored reply replaces the reply of the client only if the two are equal apart from the thinking.
        """
        for role, blocks in self._turns:
            call = get_first_call_id(blocks)
            if role == "user" or call is None or has_thinking(blocks):
                continue
            reply = self._find_reply(model, call)
            if reply is not None and canonicalize_turn(reply) == canonicalize_turn(Turn(role, tuple(blocks))):
                blocks[:] = reply.blocks

    def _match_history(self, new_turns: _TurnList) -> tuple[_TurnList, _TurnList, int]:
        """Compare the turns of the request with the stored history from the first turn on.

        Returns:
            The turns as the client sent them, a copy of these turns in which each call has a result, and the number of
            turns at the beginning of the copy that equal the stored turns.
        """
        sent = list(new_turns)
        if sent[0][0] == "assistant":
            sent.insert(0, ("user", [Text(_ASSISTANT_FIRST_TEXT)]))
        paired = [(role, list(blocks)) for role, blocks in sent]
        pair_calls_with_results(paired, self._field_path, [])
        return sent, paired, self._count_matching_turns(paired)

    def _count_matching_turns(self, turns: _TurnList) -> int:
        """Count the turns at the beginning of `turns` that equal the stored turns at the same position."""
        stored = _to_comparable(self._history_turns)
        new = _to_comparable(Turn(role, tuple(blocks)) for role, blocks in turns)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(stored, new, strict=False)))

    def _make_call_ids_unique(self) -> None:
        """Make the id of each call unique in the conversation, as the API requires.

        Some clients number the calls in each message from the same number on, so that an id occurs in several messages.
        From the second occurrence on, this method replaces the id. The new id depends only on the old id and on the
        position of the turn, so that it is the same in each request of the conversation.
        """
        used: set[str] = set()
        renamed: dict[str, str] = {}
        for number, (role, blocks) in enumerate(self._turns):
            if role == "assistant":
                ids = {block.id for block in blocks if isinstance(block, ToolUse)}
                renamed = {id_: make_unique_name(f"{id_}_{number}", used | ids) for id_ in sorted(ids & used)}
                used |= ids | set(renamed.values())
            if renamed:
                blocks[:] = [_rename_call(block, renamed) for block in blocks]

    def _split_failed_result(self, block: Block) -> list[Block]:
        """Reduce a failed tool result to its text, and return its images and documents as separate blocks.

        The API rejects a failed result that has no text, and Claude Code drops everything but text from a failed
        result. The model still sees the images and documents, because they follow the results as separate blocks.
        """
        if not isinstance(block, ToolResult) or not block.is_error:
            return [block]
        texts = tuple(part for part in block.content if isinstance(part, Text))
        rest = [part for part in block.content if not isinstance(part, Text)]
        if rest:
            id_ = block.tool_use_id[:80]
            self.notes.append(
                f"{self._field_path}: moved everything but text of the failed result {id_!r} behind the results"
            )
        return [replace(block, content=texts or (Text(_EMPTY_ERROR_TEXT),)), *rest]


def _without_hosted_calls(turns: _TurnList) -> _TurnList:
    merged: _TurnList = []
    for role, blocks in turns:
        rest = [block for block in blocks if not isinstance(block, HostedCallText)]
        if merged and merged[-1][0] == role:
            merged[-1] = (role, [*merged[-1][1], *rest])
        elif rest:
            merged.append((role, rest))
    return merged or turns


def _to_plain_text(block: Block) -> Block:
    return Text(block.text) if isinstance(block, HostedCallText) else block


def _rename_call(block: Block, new_ids: dict[str, str]) -> Block:
    match block:
        case ToolUse(id_) if id_ in new_ids:
            return replace(block, id=new_ids[id_])
        case ToolResult(id_) if id_ in new_ids:
            return replace(block, tool_use_id=new_ids[id_])
    return block


def build_system_reminder(text: str) -> Text:
    """Convert the text of a system message that follows other messages to a reminder in a user turn.

    The gateway does not move such a message into the system prompt, because the model must read the message at its
    position, and because a changed system prompt would invalidate the prompt cache.
    """
    return Text(f"<system-reminder>\n{text}\n</system-reminder>")


def _sort_results_first(blocks: list[Block]) -> tuple[Block, ...]:
    """Return the blocks of a turn with all tool results before the other blocks, as the API requires."""
    return tuple(sorted(blocks, key=lambda block: not isinstance(block, ToolResult)))


def _list_call_ids(blocks: Iterable[Block]) -> list[str]:
    """Return the ids of the tool calls in a message, in the order of the calls."""
    return [block.id for block in blocks if isinstance(block, ToolUse)]


def _use_history_call_ids(history_turn: Turn, new_blocks: Iterable[Block], blocks: list[Block]) -> list[Block]:
    """Replace the call ids in the tool results of a request with the call ids of the stored turn.

    Args:
        history_turn: The last stored turn that the request repeats.
        new_blocks: The blocks of this turn in the request. Only the call ids may differ from those in `history_turn`.
        blocks: The blocks of the next turn in the request, which may contain the results of the calls.
    """
    stored_ids = dict(zip(_list_call_ids(new_blocks), _list_call_ids(history_turn.blocks), strict=True))
    return [_rename_call(block, stored_ids) for block in blocks]


def _to_comparable(turns: Iterable[Turn]) -> Iterator[list[Any]]:
    """Yield each turn in a form in which the gateway can compare the turn with a stored turn.

    This form leaves out the error results that the gateway added for calls without a result. It contains the position
    of a call instead of the call id, because clients may change ids. If the gateway fetched an image or a document, the
    form contains the URL instead of the file.
    """
    calls: dict[str, int] = {}
    for turn in turns:
        blocks = tuple(map(reduce_media_to_url, _sort_results_first(_without_missing_results(turn))))
        if turn.role == "assistant":
            calls = {id_: number for number, id_ in enumerate(_list_call_ids(blocks))}
        yield [turn.role, [_number_calls(frame, calls) for frame in canonicalize_turn(Turn(turn.role, blocks))]]


def _without_missing_results(turn: Turn) -> list[Block]:
    return [
        block
        for block in turn.blocks
        if not isinstance(block, ToolResult) or block.content != (Text(MISSING_RESULT_TEXT),)
    ]


def _number_calls(frame: dict[str, Any], call_numbers: dict[str, int]) -> dict[str, Any]:
    match frame:
        case {"type": "tool_use", "id": id_}:
            return {**frame, "id": call_numbers[id_]}
        case {"type": "tool_result", "tool_use_id": id_}:
            return {**frame, "tool_use_id": call_numbers.get(id_, id_)}
    return frame
