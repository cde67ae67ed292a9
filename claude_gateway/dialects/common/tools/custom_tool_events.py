"""Replace the JSON input with plain text in the events of custom tool calls. No I/O."""

from collections.abc import Collection
from typing import assert_never

from claude_gateway.dialects.common.tools.custom_input_decoder import CustomInputDecoder
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.core.job import ToolUse


class CustomToolEventDecoder:
    """Decodes the input of custom tool calls in the events of a job from JSON to plain text.

    Editors that send custom tools in a chat request expect this plain text in the field for function arguments.

    Args:
        custom_tools: Names of the custom tools.
    """

    def __init__(self, custom_tools: Collection[str]) -> None:
        self._custom_tools = custom_tools
        self._input_decoder: CustomInputDecoder | None = None

    def feed(self, event: Event) -> list[Event]:
        """Return the events that replace this event of the job."""
        match event:
            case BlockStarted(ToolUse(_, name)) if name in self._custom_tools:
                self._input_decoder = CustomInputDecoder()
            case ToolInputDelta(text) if self._input_decoder is not None:
                return _build_input_deltas(self._input_decoder.feed(text))
            case BlockEnded() if self._input_decoder is not None:
                rest = self._input_decoder.end()
                self._input_decoder = None
                return [*_build_input_deltas(rest), event]
            case BlockStarted() | ToolInputDelta() | BlockEnded():
                pass  # the event does not belong to a custom tool call
            case Started() | TextDelta() | ThinkingDelta() | SignatureDelta() | StreamReset() | Finished():
                pass
            case ToolCallStarted() | ToolCallFinished():
                pass
            case _:
                assert_never(event)
        return [event]


def _build_input_deltas(text: str) -> list[Event]:
    return [ToolInputDelta(text)] if text else []
