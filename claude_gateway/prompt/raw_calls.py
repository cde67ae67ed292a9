"""A job's events with its custom tools called by raw text, for a caller who is answered in another dialect. Pure."""

from collections.abc import Collection

from claude_gateway.prompt.raw_input import RawInput
from workers.events import BlockEnded, BlockStarted, Event, InputDelta
from workers.job import ToolUse


class RawCalls:
    """An editor that sends custom tools to a chat takes their raw text where a function's arguments would stand."""

    def __init__(self, custom: Collection[str]) -> None:
        self._custom = custom
        self._raw: RawInput | None = None

    def feed(self, event: Event) -> list[Event]:
        match event:
            case BlockStarted(ToolUse(_, name)) if name in self._custom:
                self._raw = RawInput()
            case InputDelta(text) if self._raw is not None:
                return _told(self._raw.feed(text))
            case BlockEnded() if self._raw is not None:
                rest = self._raw.end()
                self._raw = None
                return [*_told(rest), event]
        return [event]


def _told(text: str) -> list[Event]:
    return [InputDelta(text)] if text else []
