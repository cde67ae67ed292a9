"""What of an answer has been passed on, so that an upstream that starts again is neither lost nor repeated. Pure."""

from workers.events import Delta, Event, InputDelta, Piece, Restarted, TextDelta, ThinkingDelta

_DELTAS = (TextDelta, ThinkingDelta, InputDelta)


class Shown:
    """Passes pieces on. After `rewind` it swallows what repeats those already passed on, letter by letter
    however it was cut, and says `Restarted` at the first difference."""

    def __init__(self) -> None:
        self.characters = 0
        # Neighbouring deltas of one kind are kept as one; `_parts` is the text of the last.
        self._sent: list[Piece] = []
        self._parts: list[str] = []
        # Where the repetition stands: the index of a piece, and how much of its text has come again.
        self._index = 0
        self._offset = 0
        self._repeating = False

    def rewind(self) -> None:
        """The upstream begins its answer again."""
        self._join()
        self._index = self._offset = 0
        self._repeating = bool(self._sent)

    def add(self, piece: Piece) -> list[Event]:
        """The events to pass on for this piece: none, the part of it that is new, or all from the start."""
        if self._repeating:
            return self._compare(piece)
        return [self._pass_on(piece)]

    def close(self) -> list[Event]:
        """The answer is whole: what to pass on when the new one ended before the old one did."""
        if not self._repeating:
            return []
        last = self._sent[-1]
        whole = self._index == len(self._sent) - 1 and isinstance(last, _DELTAS) and self._offset == len(last.text)
        return [] if whole else self._again()

    def _compare(self, piece: Piece) -> list[Event]:
        expected = self._sent[self._index]
        if isinstance(expected, _DELTAS):
            rest = expected.text[self._offset :]
            if type(piece) is type(expected):
                return self._compare_text(piece, rest)
            if rest:
                return [*self._again(), self._pass_on(piece)]
            return self._next() or self.add(piece)
        if piece != expected:
            return [*self._again(), self._pass_on(piece)]
        return self._next()

    def _compare_text(self, delta: Delta, rest: str) -> list[Event]:
        if rest.startswith(delta.text):
            self._offset += len(delta.text)
            return []
        if delta.text.startswith(rest) and self._index == len(self._sent) - 1:
            self._repeating = False
            return [self._pass_on(type(delta)(delta.text[len(rest) :]))]
        return [*self._again(), self._pass_on(delta)]

    def _next(self) -> list[Event]:
        self._index += 1
        self._offset = 0
        self._repeating = self._index < len(self._sent)
        return []

    def _again(self) -> list[Event]:
        """What the new answer said until it parted from the old one."""
        repeated = self._sent[: self._index]
        parted = self._sent[self._index]
        if self._offset and isinstance(parted, _DELTAS):
            repeated.append(type(parted)(parted.text[: self._offset]))
        self._sent, self._repeating = [], False
        return [Restarted(), *(self._pass_on(piece) for piece in repeated)]

    def _pass_on(self, piece: Piece) -> Piece:
        if isinstance(piece, _DELTAS):
            self.characters += len(piece.text)
            if self._sent and type(self._sent[-1]) is type(piece):
                self._parts.append(piece.text)
                return piece
        self._join()
        self._sent.append(piece)
        return piece

    def _join(self) -> None:
        if self._parts:
            last = self._sent[-1]
            assert isinstance(last, _DELTAS)
            self._sent[-1] = type(last)("".join([last.text, *self._parts]))
            self._parts.clear()
