"""Metrics of the gateway for Prometheus, in a separate registry.

No label contains text that a client can choose freely. The values for routes come from the route table, and those for
results and pools come from the gateway. The gateway counts models after the first 30 as "other". No label contains a
key or a prompt.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from claude_gateway.usage.record import OK, RequestContext, UnwrittenRecords, UsageRecord
from workers.core.observer import ExitReason, HistorySource, WorkerKind
from workers.logins.login_state import LoginSummary
from workers.pool.process_info import ProcessInfo

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_MAX_MODELS = 30
_OTHER = "other"
_SHORT_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG_BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_BYTES_PER_MIB = 1024 * 1024
# A client may send any word as the method of a request. The gateway counts all methods that are not in this set as
# "other".
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class Metrics:
    """Metrics of the gateway. The engine and the usage recorder report their events to this class.

    Attributes:
        count_connections: Returns the number of open connections.
    """

    def __init__(self) -> None:
        self.count_connections: Callable[[], int] = lambda: 0
        self._registry = registry = CollectorRegistry()
        self._known_models: set[str] = set()
        self._reported_lost_count = 0
        self._reported_held_back_counts: dict[str, int] = {}

        # The cache keeps the child metric for each set of labels, because each job updates ten child metrics.
        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"gateway_{name}", text, labels, registry=registry).labels)

        def seconds(name: str, text: str, buckets: Sequence[float], *labels: str) -> Callable[..., Histogram]:
            return cache(Histogram(f"gateway_{name}_seconds", text, labels, buckets=buckets, registry=registry).labels)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"gateway_{name}", text, labels, registry=registry)

        self._requests = counter("requests", "Requests answered.", "method", "route", "status", "dialect")
        self._overhead = seconds(
            "request_overhead", "Time that a request took beyond its jobs.", _SHORT_BUCKETS_SECONDS, "dialect"
        )
        self._jobs = counter("jobs", "Jobs ended, by result.", "dialect", "result")
        self._job_errors = counter("job_errors", "Jobs that failed, by result.", "result")
        self._queue_wait = seconds(
            "queue_wait", "From the arrival of a job to its worker.", _SHORT_BUCKETS_SECONDS, "pool"
        )
        self._first_token = seconds(
            "time_to_first_token",
            "From the arrival of a job to the first output of its reply.",
            _LONG_BUCKETS_SECONDS,
            "model",
        )
        self._job_seconds = seconds(
            "job_duration", "From the arrival of a job to its end.", _LONG_BUCKETS_SECONDS, "model"
        )
        self._tokens = counter("tokens", "Tokens, as the upstream counts them.", "model", "type")
        self._cost = counter("cost_usd", "US dollars, as Claude Code reports them.", "model")
        self._process_starts = seconds(
            "worker_start_duration",
            "From the start of a process until it can take its first prompt.",
            _LONG_BUCKETS_SECONDS,
            "pool",
        )
        self._process_exits = counter(
            "worker_exits", "Processes that ended before the gateway did, by reason.", "pool", "reason"
        )
        self._histories_loaded = counter(
            "conversation_loads", "How the history of a job came into its process.", "pool", "source"
        )
        self._workers = gauge("workers", "Processes by phase.", "pool", "phase")
        self._max_workers = gauge("max_workers", "Most processes that may run, including the spares.", "pool")
        self._worker_memory = gauge("worker_memory_bytes", "Memory of all processes of a pool.", "pool")
        self._current_jobs = gauge("current_jobs", "Jobs that run or wait.", "pool", "state")
        self._gateway_memory = gauge("resident_memory_bytes", "Memory of the gateway itself.")
        self._open_connections = gauge("open_connections", "Connections that are open.")
        self._pending_usage_records = gauge(
            "pending_usage_records", "Usage records that wait for a disk that cannot be written."
        )
        self._lost_usage_records = Counter(
            "gateway_lost_usage_records", "Usage records that the gateway gave up.", registry=registry
        )
        self._login_used_share = gauge(
            "login_used_share", "Used share of a limit of a login, 1 for all of it.", "login", "window"
        )
        self._login_reset_time = gauge(
            "login_reset_time_seconds", "End of a limit's window, in seconds of the epoch.", "login", "window"
        )
        self._login_limited = gauge(
            "login_limited", "Whether a limit of the login is reached that concerns all models.", "login"
        )
        self._login_failed = gauge(
            "login_failed", "Whether the login was rejected, or no process starts with it.", "login"
        )
        self._held_back_jobs = counter(
            "held_back_jobs", "Jobs that were not sent upstream because a limit of the login was reached.", "login"
        )
        self._tasks = gauge("asyncio_tasks", "Tasks of the event loop.")
        gauge("start_time_seconds", "Start time of the gateway, in seconds of the epoch.").set(time.time())

    # The engine calls these methods.

    def process_started(self, kind: WorkerKind, seconds: float) -> None:
        """Record how long the start of a process took, until the process could accept its first prompt."""
        self._process_starts(kind).observe(seconds)

    def process_exited(self, kind: WorkerKind, reason: ExitReason) -> None:
        """Count a process that ended while the gateway was running."""
        self._process_exits(kind, reason).inc()

    def history_loaded(self, kind: WorkerKind, source: HistorySource) -> None:
        """Count a job by the way in which the engine loaded the job's history into a process."""
        self._histories_loaded(kind, source).inc()

    # The usage recorder and the web layer call these methods.

    def job_ended(self, record: UsageRecord) -> None:
        """Record the result, the times and the tokens of a job."""
        model = self._model_label(record.model)
        self._jobs(record.context.dialect, record.result).inc()
        if record.result != OK:
            self._job_errors(record.result).inc()
        for histogram, moment in (
            (self._queue_wait("agent" if record.has_tools else "chat"), record.started_monotonic),
            (self._first_token(model), record.first_output_monotonic),
            (self._job_seconds(model), record.ended_monotonic),
        ):
            if (seconds := record.seconds_since_created(moment)) is not None:
                histogram.observe(seconds)
        usage = record.usage
        for token_type, count in (
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("thinking", usage.thinking_tokens),
        ):
            if count:
                self._tokens(model, token_type).inc(count)

    def cost_reported(self, record: UsageRecord, usd: float) -> None:
        """Add the cost that the CLI reported for a job."""
        self._cost(self._model_label(record.model)).inc(usd)

    def request_completed(self, context: RequestContext, method: str, status: int, seconds: float) -> None:
        """Count a request, and record the time that the request took in addition to its jobs.

        Args:
            context: Data of the request.
            method: HTTP method of the request.
            status: HTTP status of the response.
            seconds: Duration of the whole request.
        """
        method = method if method in _KNOWN_METHODS else _OTHER
        self._requests(method, context.route or _OTHER, str(status), context.dialect).inc()
        ends = [record.ended_monotonic for record in context.usage_records if record.ended_monotonic is not None]
        if ends and len(ends) == len(context.usage_records):
            created = min([record.created_monotonic for record in context.usage_records])
            self._overhead(context.dialect).observe(max(0.0, seconds - (max(ends) - created)))

    def render(
        self,
        gateway_memory_mib: int,
        task_count: int,
        processes: Sequence[tuple[ProcessInfo, int]],
        queues: Mapping[str, Mapping[str, int]],
        backlog: UnwrittenRecords,
        logins: Sequence[LoginSummary] = (),
        chat_capacity: int = 0,
    ) -> bytes:
        """Return all metrics in the text format of Prometheus.

        Args:
            gateway_memory_mib: Memory usage of the gateway's own process in MiB.
            task_count: Number of tasks of the event loop.
            processes: Processes of the engine, each with its memory usage in MiB.
            queues: Number of jobs by pool and state.
            backlog: Usage records that the gateway has not written to the database yet.
            logins: The state of each login.
            chat_capacity: Maximum number of chat processes, including the spares.
        """
        self._workers.clear()
        self._worker_memory.clear()
        for process, memory_mib in processes:
            self._workers.labels(process.kind, process.phase).inc()
            self._worker_memory.labels(process.kind).inc(memory_mib * _BYTES_PER_MIB)
        for pool, counts in queues.items():
            for state, count in counts.items():
                self._current_jobs.labels(pool, state).set(count)
        self._max_workers.labels("chat").set(chat_capacity)
        self._gateway_memory.set(gateway_memory_mib * _BYTES_PER_MIB)
        self._open_connections.set(self.count_connections())
        self._tasks.set(task_count)
        self._pending_usage_records.set(backlog.waiting_count)
        self._lost_usage_records.inc(backlog.lost_count - self._reported_lost_count)
        self._reported_lost_count = backlog.lost_count
        self._set_logins(logins)
        return generate_latest(self._registry)

    def _set_logins(self, logins: Sequence[LoginSummary]) -> None:
        for gauge in (self._login_used_share, self._login_reset_time, self._login_limited, self._login_failed):
            gauge.clear()
        for login in logins:
            self._login_limited.labels(login.name).set(login.is_limited)
            self._login_failed.labels(login.name).set(login.failure is not None)
            for window in login.windows:
                if window.used_share is not None:
                    self._login_used_share.labels(login.name, window.kind).set(window.used_share)
                if window.resets_at is not None:
                    self._login_reset_time.labels(login.name, window.kind).set(window.resets_at)
            reported = self._reported_held_back_counts.get(login.name, 0)
            self._held_back_jobs(login.name).inc(login.held_back_count - reported)
            self._reported_held_back_counts[login.name] = login.held_back_count

    def _model_label(self, name: str) -> str:
        if name not in self._known_models and len(self._known_models) >= _MAX_MODELS:
            return _OTHER
        self._known_models.add(name)
        return name
