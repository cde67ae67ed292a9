"""Repair of surrogate pairs whose halves are in two deltas of a reply. No I/O."""

from typing import assert_never

from workers.core.events import (
    BlockEnded,
    BlockEvent,
    BlockStarted,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
)
from workers.core.surrogate_repair import JsonSurrogateRepair, SurrogateRepair


class BlockRepair:
    """Repairs the deltas of one message.

    If a delta ends with half of a surrogate pair, the half is kept until the next delta.
    """

    def __init__(self) -> None:
        self._text_repair = SurrogateRepair()
        # None until the first tool call, because most messages have none.
        self._json_repair: JsonSurrogateRepair | None = None
        # The type of the deltas in the current block.
        self._delta_type: type[TextDelta] | type[ThinkingDelta] | type[ToolInputDelta] | None = None

    def passes_plain_text(self) -> bool:
        """Return whether the next text delta, if it is ASCII, needs no repair. Then `feed` need not get the delta."""
        return self._delta_type is TextDelta and not self._text_repair.has_pending

    def feed(self, block_event: BlockEvent) -> list[BlockEvent]:
        """Repair the next event of the message, and return the events that are now complete."""
        match block_event:
            case TextDelta(text) | ThinkingDelta(text):
                self._delta_type = type(block_event)
                repaired = self._text_repair.feed(text)
                return [block_event] if repaired == text else _build_deltas(type(block_event), repaired)
            case ToolInputDelta(text):
                self._delta_type = ToolInputDelta
                self._json_repair = self._json_repair or JsonSurrogateRepair()
                repaired = self._json_repair.feed(text)
                return [block_event] if repaired == text else _build_deltas(ToolInputDelta, repaired)
            case BlockStarted() | BlockEnded() | SignatureDelta():
                return [*self._flush(), block_event]
            case _:
                assert_never(block_event)

    def _flush(self) -> list[BlockEvent]:
        delta_type, self._delta_type = self._delta_type, None
        if delta_type is None:
            return []
        repair = self._json_repair if delta_type is ToolInputDelta else self._text_repair
        return _build_deltas(delta_type, repair.flush()) if repair is not None else []


def _build_deltas(
    delta_type: type[TextDelta] | type[ThinkingDelta] | type[ToolInputDelta], text: str
) -> list[BlockEvent]:
    return [delta_type(text)] if text else []
