"""What is counted for Prometheus, in a registry of its own.

No label holds what a caller can choose freely: routes are those of the table, results and kinds are ours, and models
beyond the first few are "other". No key, no prompt.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from claude_gateway.ledger.entry import OK, Entry, Unwritten, Visit
from workers.observer import End, History, Kind
from workers.roster import Post

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_MOST_MODELS = 30
_OTHER = "other"
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_MIB = 1024 * 1024
# Any word may stand in the place of a method.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class Metrics:
    """Also the engine's observer, and a watcher of the ledger. `connections` tells how many are open."""

    def __init__(self) -> None:
        self.connections: Callable[[], int] = lambda: 0
        self._registry = registry = CollectorRegistry()
        self._models: set[str] = set()

        # By their labels, and looked up once for each: a job counts in ten of them.
        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"gateway_{name}", text, labels, registry=registry).labels)

        def seconds(name: str, text: str, buckets: Sequence[float], *labels: str) -> Callable[..., Histogram]:
            return cache(Histogram(f"gateway_{name}_seconds", text, labels, buckets=buckets, registry=registry).labels)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"gateway_{name}", text, labels, registry=registry)

        self._requests = counter("requests", "Requests answered.", "method", "route", "status", "dialect")
        self._overhead = seconds("overhead", "What a request took beyond its jobs.", _SHORT, "dialect")
        self._jobs = counter("jobs", "Jobs ended.", "dialect", "result")
        self._errors = counter("job_errors", "Jobs that failed, by kind.", "kind")
        self._queue_wait = seconds("queue_wait", "From a job's arrival to its worker.", _SHORT, "kind")
        self._first_token = seconds("first_token", "From a job's arrival to the first of its answer.", _LONG, "model")
        self._total = seconds("job", "From a job's arrival to its end.", _LONG, "model")
        self._tokens = counter("tokens", "Tokens, as the upstream counts them.", "model", "kind")
        self._cost = counter("cost_usd", "US dollars, as Claude Code reports them.", "model")
        self._boots = seconds("worker_boot", "From a process's start to its first prompt.", _LONG, "kind")
        self._ends = counter("workers_ended", "Processes ended before the gateway did.", "kind", "why")
        self._histories = counter("histories", "How a job's history came into its process.", "kind", "how")
        self._workers = gauge("workers", "Processes by what they are at.", "kind", "phase")
        self._worker_memory = gauge("workers_memory_bytes", "Memory of all processes of a kind.", "kind")
        self._queue = gauge("queue_jobs", "Jobs that run or wait.", "kind", "state")
        self._memory = gauge("resident_memory_bytes", "Memory of the gateway itself.")
        self._open = gauge("connections", "Connections that are open.")
        self._unwritten = gauge("ledger_lines", "Lines of the ledger that wait for the disk, or are lost.", "state")
        self._tasks = gauge("tasks", "What the event loop has under way, in asyncio's sense.")
        gauge("start_time_seconds", "When the gateway started, in seconds of the epoch.").set(time.time())

    # What the engine tells.

    def booted(self, kind: Kind, seconds: float) -> None:
        self._boots(kind).observe(seconds)

    def ended(self, kind: Kind, why: End) -> None:
        self._ends(kind, why).inc()

    def prepared(self, kind: Kind, history: History) -> None:
        self._histories(kind, history).inc()

    # What the ledger and the web layer tell.

    def job_ended(self, entry: Entry) -> None:
        model = self._model(entry.model)
        self._jobs(entry.visit.dialect, entry.result).inc()
        if entry.result != OK:
            self._errors(entry.result).inc()
        for histogram, moment in (
            (self._queue_wait("agent" if entry.tools else "chat"), entry.taken),
            (self._first_token(model), entry.shown),
            (self._total(model), entry.ended),
        ):
            if (seconds := entry.since_it_came(moment)) is not None:
                histogram.observe(seconds)
        used = entry.usage
        for kind in ("input", "output", "cache_read", "cache_write", "thinking"):
            if count := getattr(used, kind):
                self._tokens(model, kind).inc(count)

    def cost_told(self, entry: Entry, usd: float) -> None:
        self._cost(self._model(entry.model)).inc(usd)

    def answered(self, visit: Visit, method: str, status: int, seconds: float) -> None:
        """`seconds` is what the request took in all."""
        method = method if method in _METHODS else _OTHER
        self._requests(method, visit.route or _OTHER, str(status), visit.dialect).inc()
        if visit.entries and all(entry.ended is not None for entry in visit.entries):
            came = min(entry.came for entry in visit.entries)
            ended = max(entry.ended or 0.0 for entry in visit.entries)
            self._overhead(visit.dialect).observe(max(0.0, seconds - (ended - came)))

    def exposed(
        self,
        own_memory: int,
        tasks: int,
        roster: Sequence[tuple[Post, int]],
        queues: Mapping[str, Mapping[str, int]],
        unwritten: Unwritten,
    ) -> bytes:
        """Everything, as Prometheus reads it. Memory is in MiB: that of the gateway, and of each process."""
        self._workers.clear()
        self._worker_memory.clear()
        for post, memory in roster:
            self._workers.labels(post.kind, post.phase).inc()
            self._worker_memory.labels(post.kind).inc(memory * _MIB)
        for kind, counts in queues.items():
            for state, count in counts.items():
                self._queue.labels(kind, state).set(count)
        self._memory.set(own_memory * _MIB)
        self._open.set(self.connections())
        self._tasks.set(tasks)
        self._unwritten.labels("waiting").set(unwritten.waiting)
        self._unwritten.labels("lost").set(unwritten.lost)
        return generate_latest(self._registry)

    def _model(self, name: str) -> str:
        if name not in self._models and len(self._models) >= _MOST_MODELS:
            return _OTHER
        self._models.add(name)
        return name
