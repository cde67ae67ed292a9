"""Calls and their results, put into the pairs that the API takes: a result for each call, in the very next turn. Pure.

Programs cut the beginning off a history, answer a call twice or late, and give two calls one id. The model is told all
of it: what has no place as a result stands as text where the client put it.
"""

from collections import Counter, deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

import orjson

from workers.job import Block, Role, Text, ToolResult, ToolUse

Turns = Sequence[tuple[Role, list[Block]]]

_MAX_COMPARED = 10
NO_RESULT = "The call was given up; there is no result."


def put_in_pairs(turns: Turns, place: str, notes: list[str]) -> None:
    """Change the blocks of alternating turns; `place` is how the dialect calls its messages."""
    pairing = _Pairing(place, notes)
    for role, blocks in turns:
        blocks[:] = pairing.calls(blocks) if role == "assistant" else pairing.results(blocks)


def result_alone(turns: Turns) -> ToolResult | None:
    """The first result, where nothing was said but results of calls that are not there."""
    blocks = [block for _, blocks in turns for block in blocks]
    results = [block for block in blocks if isinstance(block, ToolResult)]
    return results[0] if results and len(results) == len(blocks) else None


def unused(name: str, used: Container[str]) -> str:
    """The name, with a mark behind it where it is used already."""
    while name in used:
        name += "_"
    return name


class _Pairing:
    def __init__(self, place: str, notes: list[str]) -> None:
        self._place = place
        self._notes = notes
        # The tool of each call so far, by the call's id.
        self._tools: dict[str, str] = {}
        # The calls of the newest turn by the id that the client knows: several where it gave one id to several.
        self._open: dict[str, deque[str]] = {}

    def calls(self, blocks: list[Block]) -> list[Block]:
        """An assistant's turn, each call in it with an id of its own."""
        self._open = {}
        told: set[tuple[str, str, bytes]] = set()
        kept: list[Block] = []
        used = Counter(block.id for block in blocks if isinstance(block, ToolUse))
        for block in blocks:
            if not isinstance(block, ToolUse):
                kept.append(block)
                continue
            whole = (block.id, block.name, _written(block) if used[block.id] > 1 else b"")
            if whole in told:
                self._note(f"{_call(block.id, block.name)} stands twice in one message, and is given to Claude once")
            else:
                told.add(whole)
                kept.append(self._with_own_id(block, used))
        return kept

    def _with_own_id(self, call: ToolUse, used: Counter[str]) -> ToolUse:
        same = self._open.setdefault(call.id, deque())
        if same:
            self._note(f"two calls of one message have the id {call.id[:80]!r}; their results are taken in their order")
        id_ = unused(f"{call.id}_{len(same) + 1}", used) if same else call.id
        used[id_] += 1
        same.append(id_)
        self._tools[call.id] = self._tools[id_] = call.name
        return replace(call, id=id_)

    def results(self, blocks: list[Block]) -> list[Block]:
        """The user's turn behind those calls, with a result for each of them."""
        found: dict[str, list[ToolResult]] = {}
        kept: list[Block] = []
        for block in self._under_known_ids(blocks):
            if not isinstance(block, ToolResult):
                kept.append(block)
            elif block.tool_use_id not in self._open:
                kept += self._in_words(block)
            else:
                self._take(block, found)
        missing = [id_ for ids in self._open.values() for id_ in ids if id_ not in found]
        for id_ in missing:
            self._note(f"the call {id_[:80]!r} has no answer; Claude is told so")
        self._open = {}
        return [
            *map(self._as_one, found.values()),
            *(ToolResult(id_, (Text(NO_RESULT),), is_error=True) for id_ in missing),
            *kept,
        ]

    def _under_known_ids(self, blocks: list[Block]) -> list[Block]:
        """Some programs change the ids of calls. Where as many results are of no call at all as there are calls, and
        no call has a result, they are taken in their order."""
        results = [block for block in blocks if isinstance(block, ToolResult)]
        names = dict.fromkeys(result.tool_use_id for result in results)
        if len(names) != len(self._open) or any(name in self._tools for name in names):
            return blocks
        meant = dict(zip(names, self._open, strict=True))
        for name, id_ in meant.items():
            self._note(f"the result of {name[:80]!r} is taken for that of {_call(id_, self._tools[id_])}")
        return [
            replace(block, tool_use_id=meant[block.tool_use_id]) if isinstance(block, ToolResult) else block
            for block in blocks
        ]

    def _take(self, result: ToolResult, found: dict[str, list[ToolResult]]) -> None:
        ids = self._open[result.tool_use_id]
        while len(ids) > 1 and ids[0] in found:
            ids.popleft()
        found.setdefault(ids[0], []).append(replace(result, tool_use_id=ids[0]))

    def _as_one(self, answers: list[ToolResult]) -> ToolResult:
        """All answers to a call. It failed where all of them did: what failed holds text alone."""
        first = answers[0]
        if len(answers) == 1:
            return first
        call = _call(first.tool_use_id, self._tools[first.tool_use_id])
        others: list[ToolResult] = []
        for answer in answers:
            if answer not in others[:_MAX_COMPARED]:
                others.append(answer)
        if len(others) == 1:
            self._note(f"{call} has the same answer twice, which is given to Claude once")
            return first
        self._note(f"{call} has more than one answer; Claude is given them as one")
        content = tuple(part for answer in others for part in answer.content)
        return replace(first, content=content, is_error=all(answer.is_error for answer in others))

    def _in_words(self, result: ToolResult) -> Iterator[Block]:
        id_ = result.tool_use_id
        why = "answers no call of the message before it" if id_ in self._tools else "answers no call that was sent"
        self._note(f"the result of {id_[:80]!r} {why}, and is given to Claude as text")
        tool = f' tool="{self._tools[id_]}"' if id_ in self._tools else ""
        failed = ' is_error="true"' if result.is_error else ""
        text = "\n".join(part.text for part in result.content if isinstance(part, Text))
        yield Text(f'<tool_result call="{id_}"{tool}{failed}>\n{text}\n</tool_result>')
        yield from (part for part in result.content if not isinstance(part, Text))

    def _note(self, line: str) -> None:
        self._notes.append(f"{self._place}: {line}")


def _call(id_: str, tool: str) -> str:
    return f"the call {id_[:80]!r} of {tool[:60]!r}"


def _written(call: ToolUse) -> bytes:
    return orjson.dumps(call.input, option=orjson.OPT_SORT_KEYS)
