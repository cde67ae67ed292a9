"""The frames of a job with Claude's own tools, folded into one answer. Pure.

A chat ends where the model wants a tool or runs out of tokens; here the CLI goes on by itself, message after message.
Each message is an `Answer` of its own; what they say and use is added up.
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from workers.answer import ENDED_EARLY, Answer
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Started,
    StopReason,
    TextDelta,
    ToolBegan,
    ToolEnded,
    Usage,
)
from workers.frames import Frame
from workers.job import Text, ToolUse

# After these the CLI asks the model once more.
_GOES_ON = ("tool_use", "max_tokens", "pause_turn")
_LONGEST_SUMMARY = 200
# Of a tool's input, what says best what a call is about.
_TELLING = ("command", "file_path", "notebook_path", "pattern", "url", "query", "description", "prompt", "skill")


class WorkAnswer:
    """Feed it the frames that follow the prompt. `turns` counts the model's messages; `calls_done` is True once the
    results of a message's calls are there: the CLI is about to ask the model again. With `last_only` what the model
    says beside its calls is left out."""

    def __init__(self, denied: Collection[str] = (), *, last_only: bool = False) -> None:
        self.finished = False
        self.turns = 0
        self.calls_done = False
        self._denied = denied
        self._message = Answer()
        self._usage = Usage()
        self._reason: StopReason | None = None
        self._started = False
        self._held: list[Event] | None = [] if last_only else None
        self._texts = 0
        # The message before was cut off at its limit, and the next goes on in the middle of a word.
        self._cut_off = False
        self._call: ToolUse | None = None
        self._input: list[str] = []

    @property
    def streaming(self) -> bool:
        return self._message.streaming

    @property
    def is_last(self) -> bool:
        """True once the model has said that this message ends the work."""
        return self._message.stop_reason not in (None, *_GOES_ON)

    def feed(self, frame: Frame) -> list[Event]:
        """Raises `WorkerError` when the work failed."""
        if frame.get("parent_tool_use_id") is not None:
            return []
        match frame:
            case {"type": "stream_event", "event": {"type": "message_start"}}:
                self.calls_done = False
            case {"type": "user", "message": {"content": list(content)}}:
                ended = [self._ended(block) for block in content if block.get("type") == "tool_result"]
                self.calls_done = self.calls_done or bool(ended)
                if ended or self._reason is not None:
                    return [*ended]  # also the CLI's own "Resume directly…" behind a message that was cut off
            case {"type": "result", "subtype": subtype} if self._reason is not None and subtype == ENDED_EARLY:
                # The CLI was kept from asking for more.
                return self._finish(Finished(self._reason, self._usage))
            case {"type": "result", "is_error": False, "subtype": "success"} if self._reason is not None:
                # The CLI gave up asking for more.
                return self._finish(Finished(self._reason, self._usage))
        return self._of_message(frame)

    def stop(self) -> list[Event]:
        """The work ends here, because it has had all its turns."""
        return self._finish(Finished("pause_turn", self._usage))

    def _of_message(self, frame: Frame) -> list[Event]:
        events: list[Event] = []
        for event in self._message.feed(frame):
            match event:
                case Finished():
                    events += self._message_ended(event)
                case Started():
                    self._reason = None
                    events += [] if self._started else [event]
                    self._started = True
                case _:
                    events += self._held_back(self._piece(event))
        return events

    def _held_back(self, events: list[Event]) -> list[Event]:
        if self._held is None:
            return events
        self._held += [event for event in events if not isinstance(event, ToolBegan | ToolEnded)]
        return [event for event in events if isinstance(event, ToolBegan | ToolEnded)]

    def _message_ended(self, end: Finished) -> list[Event]:
        self.turns += 1
        self._usage = self._usage + end.usage
        if end.stop_reason not in _GOES_ON:
            return self._finish(Finished(end.stop_reason, self._usage, end.stop_sequence))
        self._reason = end.stop_reason
        self._cut_off = end.stop_reason == "max_tokens"
        if self._held and not self._cut_off:
            self._held.clear()
        self._message = Answer()
        return []

    def _piece(self, event: Event) -> list[Event]:
        match event:
            case BlockStarted(ToolUse() as call):
                self._call, self._input = call, []
                return []
            case InputDelta(text) if self._call:
                self._input.append(text)
                return []
            case BlockEnded() if self._call:
                call, self._call = self._call, None
                values = _values("".join(self._input))
                return [ToolBegan(call.id, call.name, _summary(values), values)]
            case BlockStarted(Text()):
                self._texts += 1
                # Readers that know no blocks would read two texts as one word.
                parted = self._texts > 1 and not self._cut_off and self._held is None
                return [event, TextDelta("\n\n")] if parted else [event]
        return [event]

    def _ended(self, block: dict[str, Any]) -> ToolEnded:
        id_, text = str(block.get("tool_use_id")), _text(block.get("content"))
        if id_ in self._denied:
            return ToolEnded(id_, "denied", text)
        return ToolEnded(id_, "failed" if block.get("is_error") else "ok", text)

    def _finish(self, end: Finished) -> list[Event]:
        self.finished = True
        return [*(self._held or ()), end]


def _values(arguments: str) -> dict[str, Any]:
    """Nothing where they broke off."""
    try:
        values = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return {}
    return values if isinstance(values, dict) else {}


def _text(content: Any) -> str:
    """What of a result can be read."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _summary(values: Mapping[str, Any]) -> str:
    telling = next((values[name] for name in _TELLING if isinstance(values.get(name), str)), "")
    return " ".join(telling.split())[:_LONGEST_SUMMARY]
