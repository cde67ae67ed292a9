"""Parser that converts the frames of a job with built-in tools into the events of one reply. No I/O.

A chat ends when the model calls a tool or reaches its token limit. With built-in tools, the CLI itself continues after
a tool call or at the token limit, so the reply consists of several messages. A new `TurnParser` parses each message.
This parser joins the events of the messages and adds up their token counts.
"""

from collections.abc import Collection, Mapping
from typing import Any, assert_never

import orjson

from workers.core.events import (
    BlockEnded,
    BlockEvent,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StopReason,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.core.frame import Frame
from workers.core.job import Text, ToolUse
from workers.parsing.turn_parser import REQUEST_LIMIT_SUBTYPE, TurnParser

# If a message ends with one of these reasons, the CLI asks the model for another message.
_CONTINUING_STOP_REASONS = ("tool_use", "max_tokens", "pause_turn")
_MAX_SUMMARY_CHARS = 200
# The arguments that describe a tool call best, the most descriptive first.
_SUMMARY_FIELDS = ("command", "file_path", "notebook_path", "pattern", "url", "query", "description", "prompt", "skill")


class AgentTurnParser:
    """Parses the frames that follow the prompt to an agent.

    Attributes:
        is_finished: Whether the reply is complete.
        message_count: The number of messages that the model has completed.
        has_tool_results: Whether the tool calls of the last message have results, so that the CLI is about to ask the
            model for the next message.
    """

    def __init__(self, denied_call_ids: Collection[str] = (), *, final_text_only: bool = False) -> None:
        """Create a parser.

        Args:
            denied_call_ids: The ids of the tool calls that were denied. The collection may grow while the parser is
                used.
            final_text_only: Whether to omit the text and thinking of messages that call tools.
        """
        self.is_finished = False
        self.message_count = 0
        self.has_tool_results = False
        self._denied_call_ids = denied_call_ids
        self._message_parser = TurnParser()
        self._usage = TokenUsage()
        self._stop_reason: StopReason | None = None
        self._has_started = False
        self._held_events: list[Event] | None = [] if final_text_only else None
        self._text_count = 0
        # Whether the token limit ended the previous message. The next message may then continue in the middle of a
        # word.
        self._is_truncated = False
        self._tool_use: ToolUse | None = None
        self._input_parts: list[str] = []

    @property
    def is_streaming(self) -> bool:
        """Whether the upstream is streaming a message."""
        return self._message_parser.is_streaming

    @property
    def is_final_message(self) -> bool:
        """Whether the model has ended a message after which the CLI needs no other message."""
        return self._message_parser.stop_reason not in (None, *_CONTINUING_STOP_REASONS)

    def feed(self, frame: Frame) -> list[Event]:
        """Return the events that a frame contains, in their order.

        Raises:
            WorkerError: The job failed.
        """
        if frame.get("parent_tool_use_id") is not None:
            return []
        match frame:
            case {"type": "stream_event", "event": {"type": "message_start"}}:
                self.has_tool_results = False
            case {"type": "user", "message": {"content": list(content)}}:
                results = [self._parse_tool_result(block) for block in content if block.get("type") == "tool_result"]
                self.has_tool_results = self.has_tool_results or bool(results)
                if results or self._stop_reason is not None:
                    return [*results]  # no event for the text that the CLI adds after a truncated message
            case {"type": "result", "subtype": subtype} if (
                self._stop_reason is not None and subtype == REQUEST_LIMIT_SUBTYPE
            ):
                # The CLI was not allowed to send a further request.
                return self._finish(Finished(self._stop_reason, self._usage))
            case {"type": "result", "is_error": False, "subtype": "success"} if self._stop_reason is not None:
                # The CLI itself has decided to ask the model for no other message.
                return self._finish(Finished(self._stop_reason, self._usage))
        return self._feed_message(frame)

    def can_wait(self, frame: Frame) -> bool:  # noqa: ARG002 - the protocol has this parameter
        """Return False, because the agent worker reacts to each frame."""
        return False

    def pause(self) -> list[Event]:
        """End the reply with `pause_turn`, because the model has sent the maximum number of messages."""
        return self._finish(Finished("pause_turn", self._usage))

    def _feed_message(self, frame: Frame) -> list[Event]:
        return [output for event in self._message_parser.feed(frame) for output in self._handle_event(event)]

    def _handle_event(self, event: Event) -> list[Event]:
        match event:
            case Finished():
                return self._finish_message(event)
            case Started():
                self._stop_reason = None
                is_first = not self._has_started
                self._has_started = True
                return [event] if is_first else []
            case StreamReset() | ToolCallStarted() | ToolCallFinished():
                return self._hold_back([event])
            case BlockStarted() | BlockEnded() | TextDelta() | ThinkingDelta() | ToolInputDelta() | SignatureDelta():
                return self._hold_back(self._handle_block_event(event))
            case _:
                assert_never(event)

    def _hold_back(self, events: list[Event]) -> list[Event]:
        if self._held_events is None:
            return events
        self._held_events += [event for event in events if not isinstance(event, ToolCallStarted | ToolCallFinished)]
        return [event for event in events if isinstance(event, ToolCallStarted | ToolCallFinished)]

    def _finish_message(self, finished: Finished) -> list[Event]:
        self.message_count += 1
        self._usage = self._usage + finished.usage
        if finished.stop_reason not in _CONTINUING_STOP_REASONS:
            return self._finish(Finished(finished.stop_reason, self._usage, finished.stop_sequence))
        self._stop_reason = finished.stop_reason
        self._is_truncated = finished.stop_reason == "max_tokens"
        if self._held_events and not self._is_truncated:
            self._held_events.clear()
        self._message_parser = TurnParser()
        return []

    def _handle_block_event(self, event: BlockEvent) -> list[Event]:
        match event:
            case BlockStarted(ToolUse() as call):
                self._tool_use, self._input_parts = call, []
                return []
            case ToolInputDelta(text) if self._tool_use:
                self._input_parts.append(text)
                return []
            case BlockEnded() if self._tool_use:
                call, self._tool_use = self._tool_use, None
                values = _parse_arguments("".join(self._input_parts))
                return [ToolCallStarted(call.id, call.name, _summarize(values), values)]
            case BlockStarted(Text()):
                self._text_count += 1
                # Without the blank line, a client of a dialect without blocks would read the two texts as one.
                needs_separator = self._text_count > 1 and not self._is_truncated and self._held_events is None
                return [event, TextDelta("\n\n")] if needs_separator else [event]
            case BlockStarted() | ToolInputDelta() | BlockEnded():
                pass
            case TextDelta() | ThinkingDelta() | SignatureDelta():
                pass
            case _:
                assert_never(event)
        return [event]

    def _parse_tool_result(self, block: dict[str, Any]) -> ToolCallFinished:
        id_, text = str(block.get("tool_use_id")), _extract_text(block.get("content"))
        if id_ in self._denied_call_ids:
            return ToolCallFinished(id_, "denied", text)
        return ToolCallFinished(id_, "failed" if block.get("is_error") else "ok", text)

    def _finish(self, finished: Finished) -> list[Event]:
        self.is_finished = True
        return [*(self._held_events or ()), finished]


def _parse_arguments(arguments: str) -> dict[str, Any]:
    """Parse the arguments of a call. Return an empty object if they are incomplete."""
    try:
        values = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return {}
    return values if isinstance(values, dict) else {}


def _extract_text(content: Any) -> str:
    """Return the text of a tool result. Other content is omitted."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _summarize(arguments: Mapping[str, Any]) -> str:
    summary = next((arguments[name] for name in _SUMMARY_FIELDS if isinstance(arguments.get(name), str)), "")
    return " ".join(summary.split())[:_MAX_SUMMARY_CHARS]
