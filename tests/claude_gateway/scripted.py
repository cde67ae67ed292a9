"""A scripted worker source that replaces the engine, and a gateway application that uses it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

from aiohttp import web

from claude_gateway.app import build_app
from claude_gateway.auth.authenticator import Authenticator
from claude_gateway.auth.concurrency import ConcurrencyLimiter
from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import KeyStore
from claude_gateway.auth.rate_limit import RateLimiter
from claude_gateway.auth.request_pacing import RequestPacer
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.builtin_tools.service import BuiltinToolService
from claude_gateway.claude_code.health_report import HealthReport
from claude_gateway.config import Settings
from claude_gateway.jobs.service import ChatService
from claude_gateway.jobs.start_check import StartCheck
from claude_gateway.mcp_servers.manager import McpServerManager
from claude_gateway.model_catalog.catalog import ModelCatalog
from claude_gateway.net.fetcher import Fetcher
from claude_gateway.observability.metrics import Metrics
from claude_gateway.observability.tracing import NullTracer, Tracer
from claude_gateway.offload.pool import OffloadPool
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.workspace_files import SessionFiles
from claude_gateway.stored_responses.background import BackgroundResponses
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.web.context.body_memory import BodyMemory
from claude_gateway.web.context.live_config import LiveConfig
from claude_gateway.web.context.state import AppState
from tests.claude_gateway.mcp_servers.scripted import create_empty_manager
from workers.core.events import BlockEnded, BlockStarted, Event, EventStream, Finished, Started, TextDelta, TokenUsage
from workers.core.job import ChatJob, Text, Turn
from workers.core.settings import DEFAULT_LOGIN, AuthMethod
from workers.logins.leases import LeasedWorker
from workers.logins.login_state import LoginState
from workers.logins.monitor import LoginMonitor
from workers.pool.process_info import ProcessInfo
from workers.scheduling.scheduler import JobSlot, StartGuard
from workers.worker.cost_meter import CostCallback, ignore_cost

# The source yields events and batches (tuples), raises exceptions, and waits for each `asyncio.Event` until a test sets
# it.
ScriptStep = Event | tuple[Event, ...] | Exception | asyncio.Event

MODEL = "claude-sonnet-4-5-20250929"
COST_USD = 0.25
STARTED = Started("claude-test")
FINISHED = Finished("end_turn", TokenUsage(input_tokens=3, output_tokens=2))
HELLO_EVENTS: tuple[Event, ...] = (
    STARTED,
    BlockStarted(Text("")),
    TextDelta("Hel"),
    TextDelta("lo"),
    BlockEnded(),
    FINISHED,
)
JOB = ChatJob("key-1", MODEL, (Turn("user", (Text("hi"),)),))
CHAT_BODY: Mapping[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
STREAM_BODY: Mapping[str, Any] = {**CHAT_BODY, "stream": True}


class ScriptedWorkerSource:
    """A worker source that plays the next script of `attempts` for each attempt of a job.

    Args:
        attempts: Scripts of the attempts, in order.
        queue_gate: If given, jobs wait until it is set.

    Attributes:
        job_waiting: Set when a job waits for `queue_gate`.
        job_started: Set when a job starts.
        events_closed: Set when the events of a job end or their reader stops.
        worker_released: Set when no worker is leased any more.
        leased_count: Number of leased workers.
        jobs: Jobs that have started, in order.
        deadlines: Deadlines of these jobs.
        logins: Monitor of the only login.
    """

    def __init__(self, attempts: Iterable[Iterable[ScriptStep]], queue_gate: asyncio.Event | None = None) -> None:
        self.queue_gate = queue_gate
        self.job_waiting = asyncio.Event()
        self.logins = LoginMonitor([LoginState(DEFAULT_LOGIN, AuthMethod.API_KEY)])
        self._attempts: Iterator[Iterable[ScriptStep]] = iter(attempts)
        self.jobs: list[ChatJob] = []
        self.deadlines: list[float] = []
        self.leased_count = 0
        self.job_started = asyncio.Event()
        self.events_closed = asyncio.Event()
        self.worker_released = asyncio.Event()

    @classmethod
    def repeating(cls, *steps: ScriptStep) -> "ScriptedWorkerSource":
        """Create a source that plays the same script for every attempt."""
        return cls(repeat(steps))

    @asynccontextmanager
    async def acquire_slot(
        self, job: ChatJob, deadline: float, check: StartGuard
    ) -> AsyncIterator[JobSlot[ChatJob, LeasedWorker["ScriptedWorkerSource"]]]:
        yield JobSlot(job, partial(self._lease, job, deadline, check))

    @asynccontextmanager
    async def _lease(
        self, job: ChatJob, deadline: float, check: StartGuard
    ) -> AsyncIterator[LeasedWorker["ScriptedWorkerSource"]]:
        async with self.logins.attempt(job) as attempt, self.worker(job, deadline, check):
            yield LeasedWorker(self, attempt, job)

    @asynccontextmanager
    async def worker(self, job: ChatJob, deadline: float, check: StartGuard) -> AsyncIterator["ScriptedWorkerSource"]:
        if self.queue_gate is not None:
            self.job_waiting.set()
            await self.queue_gate.wait()
        await check()
        self.jobs.append(job)
        self.deadlines.append(deadline)
        self.leased_count += 1
        self.job_started.set()
        try:
            yield self
        finally:
            self.leased_count -= 1
            if not self.leased_count:
                self.worker_released.set()

    async def run(self, job: ChatJob, deadline: float, on_cost: CostCallback = ignore_cost) -> EventStream:
        """Play the next script, with one event in each batch; report the cost `COST_USD` at the end of each reply."""
        try:
            for step in next(self._attempts):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    if isinstance(step, Finished):
                        on_cost(COST_USD)
                    yield step if isinstance(step, tuple) else [step]
        finally:
            self.events_closed.set()


class ScriptedPool:
    """The part of a pool that the health report reads."""

    def __init__(
        self,
        *,
        account: Mapping[str, Any] | None = None,
        counts: dict[str, int] | None = None,
        failing: bool = False,
        group: str | None = None,
    ) -> None:
        self.account = {"apiKeySource": "ANTHROPIC_API_KEY"} if account is None else account
        self.cli_version = "9.9.9"
        self.is_failing = failing
        self.chat_capacity = 12
        self._group = group
        self._counts = {"ready": 2} if counts is None else counts

    def phase_counts(self) -> dict[str, int]:
        return self._counts

    def queue_counts_by_kind(self) -> dict[str, dict[str, int]]:
        return {"chat": self.queue_counts(), "agent": {"running": 0, "waiting": 0}}

    async def list_processes(self) -> list[tuple[ProcessInfo, int]]:
        phases = [phase for phase, count in self._counts.items() for _ in range(count)]
        return [
            (ProcessInfo("chat", 100 + n, phase, "environment", MODEL, n, self._group), 200)
            for n, phase in enumerate(phases)
        ]

    def queue_counts(self) -> dict[str, int]:
        return {"running": 0, "waiting": 0}


def make_settings(**overrides: Any) -> Settings:
    """Create settings that a developer's environment cannot change; raise `AssertionError` for an unknown name."""
    assert overrides.keys() <= Settings.model_fields.keys(), sorted(overrides.keys() - Settings.model_fields.keys())
    values: dict[str, Any] = {
        "api_key": None,
        "default_model": MODEL,
        "model_aliases": "",
        "claude_auth_method": AuthMethod.API_KEY,
        "max_timeout": 60_000,
        "max_request_size": 100_000,
        "stream_head_timeout_seconds": 30,
        "heartbeat_interval_seconds": 30,
        "rate_limit_enabled": False,
    }
    return Settings(_env_file=None, **values | overrides)


@dataclass
class ScriptedEngine:
    """The engine's support for built-in tools."""

    sandbox_unavailable_reason: str = ""
    can_run_commands: bool = True


@dataclass
class ScriptedStore:
    """The part of the database that the health report reads."""

    is_failing: bool = False
    failure_reason: str = "database or disk is full"


def build_scripted_app(
    worker_source: ScriptedWorkerSource,
    pool: ScriptedPool | None = None,
    *,
    store: ScriptedStore | None = None,
    sessions: SessionService | None = None,
    responses: ResponseService | None = None,
    fetcher: Fetcher | None = None,
    builtin_tools: BuiltinToolService | None = None,
    keys: KeyStore | None = None,
    mcp_servers: McpServerManager | None = None,
    usage_recorder: UsageRecorder | None = None,
    tracer: Tracer | None = None,
    pacer: RequestPacer | None = None,
    cli_models: Sequence[Mapping[str, Any]] = (),
    **overrides: Any,
) -> web.Application:
    """Build the gateway's application.

    Requests that need a missing part fail: `sessions` to name a session, `responses` to store a response, `keys` to
    create a key. `cli_models` are the models that the CLI reports, and `overrides` are settings.
    """
    settings = make_settings(**overrides)
    authenticator = Authenticator(
        settings.api_key.get_secret_value() if settings.api_key else None, keys, api_key_group=settings.api_key_group
    )
    mcp_servers = mcp_servers or create_empty_manager()
    builtin_tools = builtin_tools or BuiltinToolService(ScriptedEngine(), None, ToolCounters(), mcp_servers)
    responses = responses or ResponseService(None, b"the key of the tests")
    metrics = Metrics()
    usage_recorder = usage_recorder or UsageRecorder(observers=[metrics])
    health = HealthReport(
        pool or ScriptedPool(),
        store or ScriptedStore(),
        settings.auth_method,
        authenticator,
        usage_recorder,
        worker_source.logins,
    )
    concurrency = ConcurrencyLimiter(
        lambda key_id: authenticator.get_concurrency_limit(key_id) or settings.max_concurrent_jobs_per_key
    )
    live_config = LiveConfig(
        settings,
        ModelCatalog.from_cli_models(
            cli_models, settings.default_model, settings.parsed_model_aliases, settings.auth_method
        ),
        list,
    )
    start_check = StartCheck(authenticator, lambda: live_config.catalog, usage_recorder)
    service = ChatService(
        worker_source,
        settings.max_timeout / 1000,
        builtin_tools.counters,
        usage_recorder,
        concurrency,
        live_config.mark_model_rejected,
        start_check,
    )
    return build_app(
        AppState(
            live_config=live_config,
            authenticator=authenticator,
            key_service=KeyService(keys),
            rate_limiter=RateLimiter(settings.requests_per_minute()),
            chat_service=service,
            health=health,
            sessions=sessions or SessionService(None, settings.session_limits(), SessionLocks(0, 0)),
            session_files=SessionFiles(None, settings.agent_settings(()).disk_limits),
            stored_responses=responses,
            background_responses=BackgroundResponses(
                responses, service, settings.max_background_responses_per_key, settings.max_timeout / 1000
            ),
            fetcher=fetcher or Fetcher(),
            builtin_tools=builtin_tools,
            usage_recorder=usage_recorder,
            offload=OffloadPool(),
            body_memory=BodyMemory(settings.body_memory_bytes),
            pacer=pacer or RequestPacer(),
            metrics=metrics,
            traces=tracer or NullTracer(),
            mcp_servers=mcp_servers,
        )
    )
