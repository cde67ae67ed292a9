"""Filter that drops repeated output when the upstream sends a reply again from its start. No I/O."""

from workers.core.events import BlockEvent, Delta, Event, StreamReset, TextDelta, ThinkingDelta, ToolInputDelta

_DELTA_TYPES = (TextDelta, ThinkingDelta, ToolInputDelta)


class ReplayFilter:
    """Passes block events on, and drops events that repeat earlier output.

    After `start_replay`, the filter compares the new reply with the events that it has already passed on. It compares
    character by character, so the text may be divided into other deltas. At the first difference, it emits
    `StreamReset` and then the new reply from its start.

    Attributes:
        char_count: The number of characters in all deltas that were passed on.
    """

    def __init__(self) -> None:
        self.char_count = 0
        # Consecutive deltas of one type are merged. `_last_text_parts` contains text that is not yet merged into the
        # last event.
        self._emitted: list[BlockEvent] = []
        self._last_text_parts: list[str] = []
        # The position of the comparison: the index of an emitted event, and the number of its characters that were
        # repeated.
        self._replay_index = 0
        self._replay_offset_chars = 0
        self._is_replaying = False

    def start_replay(self) -> None:
        """Prepare for a reply that the upstream sends again from its start."""
        self._merge_last_text()
        self._replay_index = self._replay_offset_chars = 0
        self._is_replaying = bool(self._emitted)

    def feed_all(self, block_events: list[BlockEvent]) -> list[Event]:
        """Return the events to pass on after these events, as `feed` does for one event."""
        if self._is_replaying:
            return [event for block_event in block_events for event in self.feed(block_event)]
        return [self._emit(block_event) for block_event in block_events]

    def feed_text(self, delta: TextDelta) -> list[Event]:
        """Return the events to pass on after a text delta, as `feed` does, but faster if nothing is repeated."""
        if self._is_replaying or not self._emitted or type(self._emitted[-1]) is not TextDelta:
            return self.feed(delta)
        self.char_count += len(delta.text)
        self._last_text_parts.append(delta.text)
        return [delta]

    def feed(self, block_event: BlockEvent) -> list[Event]:
        """Return the events to pass on after this event.

        These are the event itself, the new part of the event, nothing, or a `StreamReset` and the whole new reply.
        """
        if self._is_replaying:
            return self._compare(block_event)
        return [self._emit(block_event)]

    def finish(self) -> list[Event]:
        """Return the events to pass on at the end of a reply.

        If the new reply is shorter than the earlier one, these are a `StreamReset` and the new reply. Otherwise the
        list is empty.
        """
        if not self._is_replaying:
            return []
        last = self._emitted[-1]
        is_complete = (
            self._replay_index == len(self._emitted) - 1
            and isinstance(last, _DELTA_TYPES)
            and self._replay_offset_chars == len(last.text)
        )
        return [] if is_complete else self._reset_stream()

    def _compare(self, block_event: BlockEvent) -> list[Event]:
        expected = self._emitted[self._replay_index]
        if isinstance(expected, _DELTA_TYPES):
            remaining = expected.text[self._replay_offset_chars :]
            if type(block_event) is type(expected):
                return self._compare_text(block_event, remaining)
            if remaining:
                return [*self._reset_stream(), self._emit(block_event)]
            return self._advance() or self.feed(block_event)
        if block_event != expected:
            return [*self._reset_stream(), self._emit(block_event)]
        return self._advance()

    def _compare_text(self, delta: Delta, remaining: str) -> list[Event]:
        if remaining.startswith(delta.text):
            self._replay_offset_chars += len(delta.text)
            return []
        if delta.text.startswith(remaining) and self._replay_index == len(self._emitted) - 1:
            self._is_replaying = False
            return [self._emit(type(delta)(delta.text[len(remaining) :]))]
        return [*self._reset_stream(), self._emit(delta)]

    def _advance(self) -> list[Event]:
        self._replay_index += 1
        self._replay_offset_chars = 0
        self._is_replaying = self._replay_index < len(self._emitted)
        return []

    def _reset_stream(self) -> list[Event]:
        """Return a `StreamReset`, and the events of the new reply up to its first difference from the earlier reply."""
        repeated = self._emitted[: self._replay_index]
        differing = self._emitted[self._replay_index]
        if self._replay_offset_chars and isinstance(differing, _DELTA_TYPES):
            repeated.append(type(differing)(differing.text[: self._replay_offset_chars]))
        self._emitted, self._is_replaying = [], False
        return [StreamReset(), *(self._emit(event) for event in repeated)]

    def _emit(self, block_event: BlockEvent) -> BlockEvent:
        if isinstance(block_event, _DELTA_TYPES):
            self.char_count += len(block_event.text)
            if self._emitted and type(self._emitted[-1]) is type(block_event):
                self._last_text_parts.append(block_event.text)
                return block_event
        self._merge_last_text()
        self._emitted.append(block_event)
        return block_event

    def _merge_last_text(self) -> None:
        if self._last_text_parts:
            last = self._emitted[-1]
            assert isinstance(last, _DELTA_TYPES)
            self._emitted[-1] = type(last)("".join([last.text, *self._last_text_parts]))
            self._last_text_parts.clear()
