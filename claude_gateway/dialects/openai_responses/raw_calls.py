"""A job's events with its custom tools called by raw text, for a caller who is answered in another dialect. Pure."""

from collections.abc import Mapping

from claude_gateway.dialects.openai_responses.raw_input import RawInput
from claude_gateway.dialects.openai_responses.tools import Origin
from workers.events import BlockEnded, BlockStarted, Event, InputDelta
from workers.job import ToolUse


class RawCalls:
    """An editor that sends custom tools to a chat takes their raw text where a function's arguments would stand."""

    def __init__(self, origins: Mapping[str, Origin]) -> None:
        self._custom = {name for name, origin in origins.items() if origin.kind == "custom"}
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
