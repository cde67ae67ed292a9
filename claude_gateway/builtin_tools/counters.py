"""Counts tool calls, their outcomes and their durations, for each tool and each key."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolProgress,
)
from workers.core.job import ChatJob, ThinkingBlock

MAX_TOOLS_PER_KEY = 500
OTHER_TOOLS = "other"


@dataclass(slots=True)
class ToolCounter:
    """Counts of the calls of one tool in the jobs of one key. `total_seconds` is the sum of their durations."""

    call_count: int = 0
    failed_count: int = 0
    denied_count: int = 0
    total_seconds: float = 0.0


class ToolCounters:
    """Counters of the tool calls of all keys.

    Args:
        now: Monotonic clock in seconds.

    Attributes:
        unsaved: Key ids and tool names of the counters that have changed since the gateway last wrote them.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counters: dict[str, dict[str, ToolCounter]] = defaultdict(lambda: defaultdict(ToolCounter))
        self.unsaved: set[tuple[str, str]] = set()

    def counters_of(self, key_id: str) -> dict[str, ToolCounter]:
        """Return the counters of a key, by the names that the CLI uses for the tools."""
        return dict(self._counters.get(key_id, {}))

    def restore(self, key_id: str, tool: str, counter: ToolCounter) -> None:
        """Set a counter to the value that an earlier gateway process stored."""
        self._counters[key_id][tool] = counter

    def take_unsaved(self) -> list[tuple[str, str, ToolCounter]]:
        """Return copies of the unsaved counters and mark them as saved."""
        copies = [(key_id, tool, replace(self._counters[key_id][tool])) for key_id, tool in sorted(self.unsaved)]
        self.unsaved.clear()
        return copies

    def get_counter(self, key_id: str, tool: str) -> ToolCounter:
        """Return the counter of a tool, and mark the counter as unsaved because the calling code will change it.

        Clients choose the names of MCP tools. Therefore, if a key already has `MAX_TOOLS_PER_KEY` counters, all further
        tools share one counter.
        """
        counters = self._counters[key_id]
        if tool not in counters and len(counters) >= MAX_TOOLS_PER_KEY:
            tool = OTHER_TOOLS
        self.unsaved.add((key_id, tool))
        return counters[tool]

    def for_job(self, job: ChatJob) -> "JobToolCounter":
        """Return an object that counts the tool calls of one job."""
        return JobToolCounter(self, job, self._now)


class JobToolCounter:
    """Counts the tool calls of a job and reports their progress in the format that the client requested."""

    def __init__(self, counters: ToolCounters, job: ChatJob, now: Callable[[], float]) -> None:
        self._counters = counters
        self._key_id = job.key_id
        self._progress = job.agent_options.progress_format if job.agent_options else None
        self._now = now
        self._running_calls: dict[str, tuple[str, float]] = {}

    def feed(self, event: ToolProgress) -> Iterator[Event]:
        """Count the tool call to which the event belongs, and yield the progress events for the client.

        The client requests one of two formats. In the first format, the gateway sends thinking blocks, because every
        dialect can express them. No session stores these blocks. In the second format, it sends the event unchanged.
        """
        if self._progress == "calls":
            yield event
        match event:
            case ToolCallStarted(id_, name, summary):
                self._running_calls[id_] = name, self._now()
                self._counters.get_counter(self._key_id, name).call_count += 1
                if self._progress == "thoughts":
                    yield BlockStarted(ThinkingBlock("", ""))
                    yield ThinkingDelta(f"{name}: {summary}\n" if summary else f"{name}\n")
                    yield BlockEnded()
            case ToolCallFinished(id_, outcome) if id_ in self._running_calls:
                name, started_monotonic = self._running_calls.pop(id_)
                counter = self._counters.get_counter(self._key_id, name)
                counter.total_seconds += self._now() - started_monotonic
                counter.failed_count += outcome == "failed"
                counter.denied_count += outcome == "denied"
            case ToolCallFinished():
                pass  # the counter has not received the start of this call
            case _:
                assert_never(event)
