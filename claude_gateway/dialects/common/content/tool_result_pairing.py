"""Correct a conversation so that each tool call has exactly one result in the next turn, as the API requires. No I/O.

Some clients truncate the beginning of a history, send a result twice or late, or use the same id for two calls. If the
API would reject a result because of this, the gateway converts the result to a text, so that the model still receives
the content.
"""

from collections import Counter, deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

import orjson

from workers.core.job import Block, Role, Text, ToolResult, ToolUse

TurnSequence = Sequence[tuple[Role, list[Block]]]

_MAX_COMPARED_RESULTS = 10
MISSING_RESULT_TEXT = "The call was abandoned; there is no result."


def pair_calls_with_results(turns: TurnSequence, field_path: str, notes: list[str]) -> None:
    """Change the blocks of the turns in place, so that each call has exactly one result in the next turn.

    Args:
        turns: The conversation. The roles alternate, and the last turn has the role `user`.
        field_path: Field path of the messages.
        notes: List to which the function adds a note for the client about each change.
    """
    pairer = _Pairer(field_path, notes)
    for role, blocks in turns:
        blocks[:] = pairer.process_assistant_turn(blocks) if role == "assistant" else pairer.process_user_turn(blocks)


def find_orphan_result(turns: TurnSequence) -> ToolResult | None:
    """Return the first tool result if the turns contain only tool results. Return None in all other cases.

    If there are only tool results, the client did not send the calls to which the results belong.
    """
    blocks = [block for _, blocks in turns for block in blocks]
    results = [block for block in blocks if isinstance(block, ToolResult)]
    return results[0] if results and len(results) == len(blocks) else None


def make_unique_name(name: str, used_names: Container[str]) -> str:
    """Append underscores to a name until no used name equals it, and return the result."""
    while name in used_names:
        name += "_"
    return name


class _Pairer:
    """Matches the tool results in a conversation to the tool calls. The calling code passes each turn in order."""

    def __init__(self, field_path: str, notes: list[str]) -> None:
        self._field_path = field_path
        self._notes = notes
        # The tool name of each call in the turns so far, by call id.
        self._tool_names: dict[str, str] = {}
        # Maps each call id that the client sent in the latest assistant turn to the unique ids that the gateway uses
        # for the calls with this id. Several calls may have the same id in the request.
        self._open_call_ids: dict[str, deque[str]] = {}

    def process_assistant_turn(self, blocks: list[Block]) -> list[Block]:
        """Return the blocks of an assistant turn. Omit repeated calls, and give each call a different id."""
        self._open_call_ids = {}
        seen: set[tuple[str, str, bytes]] = set()
        result: list[Block] = []
        id_counts = Counter(block.id for block in blocks if isinstance(block, ToolUse))
        for block in blocks:
            if not isinstance(block, ToolUse):
                result.append(block)
                continue
            call = (block.id, block.name, _encode_input(block) if id_counts[block.id] > 1 else b"")
            if call in seen:
                self._note(f"omitted a repetition of {_format_call(block.id, block.name)}")
            else:
                seen.add(call)
                result.append(self._with_unique_id(block, id_counts))
        return result

    def _with_unique_id(self, call: ToolUse, id_counts: Counter[str]) -> ToolUse:
        ids = self._open_call_ids.setdefault(call.id, deque())
        if ids:
            self._note(
                f"changed the id {call.id[:80]!r}, which two calls in one message have (results are matched by order)"
            )
        id_ = make_unique_name(f"{call.id}_{len(ids) + 1}", id_counts) if ids else call.id
        id_counts[id_] += 1
        ids.append(id_)
        self._tool_names[call.id] = self._tool_names[id_] = call.name
        return replace(call, id=id_)

    def process_user_turn(self, blocks: list[Block]) -> list[Block]:
        """Return the blocks of a user turn, with exactly one result for each call of the assistant turn before it."""
        results_by_call: dict[str, list[ToolResult]] = {}
        others: list[Block] = []
        for block in self._match_ids_by_order(blocks):
            if not isinstance(block, ToolResult):
                others.append(block)
            elif block.tool_use_id not in self._open_call_ids:
                others += self._render_result(block)
            else:
                self._add_result(block, results_by_call)
        missing = [id_ for ids in self._open_call_ids.values() for id_ in ids if id_ not in results_by_call]
        for id_ in missing:
            self._note(f"added an error result for the call {id_[:80]!r} (it has no result)")
        self._open_call_ids = {}
        return [
            *map(self._merge_results, results_by_call.values()),
            *(ToolResult(id_, (Text(MISSING_RESULT_TEXT),), is_error=True) for id_ in missing),
            *others,
        ]

    def _match_ids_by_order(self, blocks: list[Block]) -> list[Block]:
        """Replace the call ids in the results of a user turn if the client has changed the ids.

        The first id in the results then belongs to the first call, and so on. The gateway replaces the ids only if no
        result has the id of an earlier call, and if the number of different ids in the results equals the number of
        different ids in the calls.
        """
        results = [block for block in blocks if isinstance(block, ToolResult)]
        result_ids = dict.fromkeys(result.tool_use_id for result in results)
        if len(result_ids) != len(self._open_call_ids) or any(id_ in self._tool_names for id_ in result_ids):
            return blocks
        call_ids = dict(zip(result_ids, self._open_call_ids, strict=True))
        for result_id, id_ in call_ids.items():
            self._note(
                f"changed the result of {result_id[:80]!r} to that of {_format_call(id_, self._tool_names[id_])}"
            )
        return [
            replace(block, tool_use_id=call_ids[block.tool_use_id]) if isinstance(block, ToolResult) else block
            for block in blocks
        ]

    def _add_result(self, result: ToolResult, results_by_call: dict[str, list[ToolResult]]) -> None:
        ids = self._open_call_ids[result.tool_use_id]
        while len(ids) > 1 and ids[0] in results_by_call:
            ids.popleft()
        results_by_call.setdefault(ids[0], []).append(replace(result, tool_use_id=ids[0]))

    def _merge_results(self, results: list[ToolResult]) -> ToolResult:
        """Merge all results of one call into one result.

        The merged result is an error only if all results are errors, because an error result may only contain text.
        """
        first = results[0]
        if len(results) == 1:
            return first
        call = _format_call(first.tool_use_id, self._tool_names[first.tool_use_id])
        distinct: list[ToolResult] = []
        for result in results:
            if result not in distinct[:_MAX_COMPARED_RESULTS]:
                distinct.append(result)
        if len(distinct) == 1:
            self._note(f"omitted a repeated result of {call}")
            return first
        self._note(f"merged the results of {call}")
        content = tuple(part for result in distinct for part in result.content)
        return replace(first, content=content, is_error=all(result.is_error for result in distinct))

    def _render_result(self, result: ToolResult) -> Iterator[Block]:
        id_ = result.tool_use_id
        missing = "the message before it" if id_ in self._tool_names else "the request"
        self._note(f"converted the result of {id_[:80]!r} to text ({missing} has no such call)")
        tool = f' tool="{self._tool_names[id_]}"' if id_ in self._tool_names else ""
        failed = ' is_error="true"' if result.is_error else ""
        text = "\n".join(part.text for part in result.content if isinstance(part, Text))
        yield Text(f'<tool_result call="{id_}"{tool}{failed}>\n{text}\n</tool_result>')
        yield from (part for part in result.content if not isinstance(part, Text))

    def _note(self, line: str) -> None:
        self._notes.append(f"{self._field_path}: {line}")


def _format_call(id_: str, tool_name: str) -> str:
    return f"the call {id_[:80]!r} of {tool_name[:60]!r}"


def _encode_input(call: ToolUse) -> bytes:
    return orjson.dumps(call.input, option=orjson.OPT_SORT_KEYS)
