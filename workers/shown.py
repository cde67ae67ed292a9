"""What of an answer has been passed on, so that an upstream that starts again is neither lost nor repeated. Pure."""

from workers.events import Event, Restarted, TextDelta, ThinkingDelta


class Shown:
    """Passes deltas on. After `rewind` it swallows what repeats the text already passed on, letter by
    letter, and says `Restarted` at the first difference."""

    def __init__(self) -> None:
        self._sent: dict[type[TextDelta | ThinkingDelta], list[str]] = {TextDelta: [], ThinkingDelta: []}
        self._expected: dict[type[TextDelta | ThinkingDelta], str] = {}
        self.characters = 0

    def rewind(self) -> None:
        """The upstream begins its answer again."""
        self._expected = {kind: "".join(parts) for kind, parts in self._sent.items() if parts}

    def add(self, delta: TextDelta | ThinkingDelta) -> list[Event]:
        """The events to pass on for this delta: none, the part of it that is new, or all from the start."""
        kind = type(delta)
        expected = self._expected.pop(kind, "")
        if not expected:
            return [self._pass_on(delta)]
        if expected.startswith(delta.text):
            if rest := expected[len(delta.text) :]:
                self._expected[kind] = rest
            return []
        if delta.text.startswith(expected):
            return [self._pass_on(kind(delta.text[len(expected) :]))]
        self._expected[kind] = expected
        return [*self._again(), self._pass_on(delta)]

    def close(self) -> list[Event]:
        """The answer is whole: what to pass on when the new one ended before the old one did."""
        return self._again() if any(self._expected.values()) else []

    def _again(self) -> list[Event]:
        """What the new answer said until it parted from the old one."""
        repeated = {
            kind: "".join(parts).removesuffix(self._expected.get(kind, "")) for kind, parts in self._sent.items()
        }
        self._sent = {kind: [] for kind in self._sent}
        self._expected.clear()
        return [Restarted(), *(self._pass_on(kind(text)) for kind, text in repeated.items() if text)]

    def _pass_on(self, delta: TextDelta | ThinkingDelta) -> TextDelta | ThinkingDelta:
        self._sent[type(delta)].append(delta.text)
        self.characters += len(delta.text)
        return delta
