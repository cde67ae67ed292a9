"""Progress of a job: selects the events that the reader of the job gets, and records the usage. No I/O."""

from collections.abc import Iterator
from typing import assert_never

from claude_gateway.builtin_tools.counters import JobToolCounter
from claude_gateway.usage.record import UsageRecord
from claude_gateway.usage.recorder import UsageRecorder
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    EventBatch,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.parsing.turn_parser import is_visible

# While several keys send requests, the gateway counts this many deltas of a reply as one request of the reply's key.
_DELTAS_PER_REQUEST = 128


class JobProgress:
    """The progress of one job in all its attempts.

    Args:
        tool_counter: The counter of the job's tool calls.
        usage_recorder: The recorder of the job's usage.
        record: The usage record of the job.

    Attributes:
        output_sent: Whether the reader has got a part of the reply that it has not discarded.
        tools_ran: Whether the job has called tools.
        final_usage: The token usage of the complete reply; None until the reply is complete.
    """

    def __init__(self, tool_counter: JobToolCounter, usage_recorder: UsageRecorder, record: UsageRecord) -> None:
        self.output_sent = False
        self.tools_ran = False
        self.final_usage: TokenUsage | None = None
        self._tool_counter = tool_counter
        self._usage_recorder = usage_recorder
        self._record = record
        self._has_started = False
        self._delta_count = 0

    def pass_on(self, batch: EventBatch) -> Iterator[EventBatch]:
        """Record the events of a batch, and yield the events that the reader gets.

        `StreamReset` becomes a batch of its own, because a reader that cannot undo output stops there.
        """
        passed: list[Event] = []
        char_count = 0
        for event in batch:
            if isinstance(event, TextDelta) and self.output_sent:  # saves time, because most events are text deltas
                char_count += len(event.text)
                self._delta_count += 1
                passed.append(event)
                continue
            match event:
                case TextDelta(text) | ThinkingDelta(text) | ToolInputDelta(text):
                    char_count += len(text)
                    self._delta_count += 1
                case ToolCallStarted() | ToolCallFinished():
                    self.tools_ran = True
                    passed += self._tool_counter.feed(event)
                    continue
                case Started():
                    self._usage_recorder.record_accepted(self._record, event)
                    if self._has_started:
                        continue
                case Finished(usage=usage):
                    self.final_usage = usage
                case BlockStarted() | SignatureDelta() | BlockEnded() | StreamReset():
                    pass
                case _:
                    assert_never(event)
            if not self.output_sent and is_visible(event):
                self.output_sent = True
                self._usage_recorder.record_first_output(self._record)
            self._has_started = True
            if isinstance(event, StreamReset):
                self._usage_recorder.add_output_chars(self._record, char_count)
                char_count = 0
                if passed:
                    yield passed
                yield [event]
                passed = []
            else:
                passed.append(event)
        self._usage_recorder.add_output_chars(self._record, char_count)
        if passed:
            yield passed

    def take_request_count(self) -> int:
        """Return the number of requests as which the deltas since the last call count."""
        request_count, self._delta_count = divmod(self._delta_count, _DELTAS_PER_REQUEST)
        return request_count
