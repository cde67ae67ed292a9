"""How often each of Claude's own tools was used, how long it took and what came of it, by key."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from workers.events import BlockEnded, BlockStarted, Event, ThinkingDelta, ToolBegan, ToolEnded, Working
from workers.job import ChatJob, Thought

# Of one key.
MAX_TOOLS = 500
OTHER = "other"


@dataclass(slots=True)
class ToolCount:
    """`seconds` is the sum over the calls that ended."""

    calls: int = 0
    failed: int = 0
    denied: int = 0
    seconds: float = 0.0


class ToolCounts:
    """`now` is a clock in seconds. `changed`: keys and tools whose counts are to be written down."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: dict[str, dict[str, ToolCount]] = defaultdict(lambda: defaultdict(ToolCount))
        self.changed: set[tuple[str, str]] = set()

    def of(self, owner: str) -> dict[str, ToolCount]:
        """Of one key, by the tools' names in the CLI."""
        return dict(self._counts.get(owner, {}))

    def put_back(self, owner: str, tool: str, count: ToolCount) -> None:
        """What was counted before the start."""
        self._counts[owner][tool] = count

    def take_changed(self) -> list[tuple[str, str, ToolCount]]:
        """Copies of the counts that changed since this was last asked."""
        taken = [(owner, tool, replace(self._counts[owner][tool])) for owner, tool in sorted(self.changed)]
        self.changed.clear()
        return taken

    def counting(self, owner: str, tool: str) -> ToolCount:
        """To be added to. Tools of MCP servers have names that a key chooses: beyond `MAX_TOOLS` they count as one."""
        known = self._counts[owner]
        if tool not in known and len(known) >= MAX_TOOLS:
            tool = OTHER
        self.changed.add((owner, tool))
        return known[tool]

    def of_job(self, job: ChatJob) -> "CallsOfJob":
        return CallsOfJob(self, job, self._now)


class CallsOfJob:
    """Counts the calls of a job, and tells of them what its caller wants to read."""

    def __init__(self, counts: ToolCounts, job: ChatJob, now: Callable[[], float]) -> None:
        self._counts = counts
        self._owner = job.owner
        self._progress = job.work.progress if job.work else None
        self._now = now
        self._open: dict[str, tuple[str, float]] = {}

    def feed(self, event: Working) -> Iterator[Event]:
        """Progress is told as the caller asked for it: as thoughts, which every dialect can show and no session keeps,
        or as it is."""
        if self._progress == "calls":
            yield event
        match event:
            case ToolBegan(id_, name, summary):
                self._open[id_] = name, self._now()
                self._counts.counting(self._owner, name).calls += 1
                if self._progress == "thoughts":
                    yield BlockStarted(Thought("", ""))
                    yield ThinkingDelta(f"{name}: {summary}\n" if summary else f"{name}\n")
                    yield BlockEnded()
            case ToolEnded(id_, outcome) if id_ in self._open:
                name, began = self._open.pop(id_)
                count = self._counts.counting(self._owner, name)
                count.seconds += self._now() - began
                count.failed += outcome == "failed"
                count.denied += outcome == "denied"
