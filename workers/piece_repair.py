"""The pieces of an answer without half characters, block by block. Pure."""

from workers.events import BlockEnded, BlockStarted, InputDelta, Piece, Signed, TextDelta, ThinkingDelta
from workers.unicode_repair import JsonTextRepair, TextRepair


class PieceRepair:
    """Feed it the pieces of one message in their order. Half a character waits for its other half in the next piece."""

    def __init__(self) -> None:
        self._texts = TextRepair()
        self._arguments = JsonTextRepair()
        # The kind of the deltas of the block that is open.
        self._kind: type[TextDelta] | type[ThinkingDelta] | type[InputDelta] | None = None

    def feed(self, piece: Piece) -> list[Piece]:
        match piece:
            case InputDelta(text):
                self._kind = InputDelta
                return _delta(InputDelta, self._arguments.feed(text))
            case TextDelta(text) | ThinkingDelta(text):
                self._kind = type(piece)
                return _delta(type(piece), self._texts.feed(text))
            case BlockStarted() | BlockEnded() | Signed():
                return [*self._rest(), piece]

    def _rest(self) -> list[Piece]:
        kind, self._kind = self._kind, None
        if kind is None:
            return []
        return _delta(kind, (self._arguments if kind is InputDelta else self._texts).end())


def _delta(kind: type[TextDelta] | type[ThinkingDelta] | type[InputDelta], text: str) -> list[Piece]:
    return [kind(text)] if text else []
