"""A dispatcher that plays the engine's part, and a gateway over it: the seam of every test above the pool."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

from aiohttp import web

from claude_gateway.access.at_once import JobsAtOnce
from claude_gateway.access.key_ring import KeyRing
from claude_gateway.access.limits import Limits
from claude_gateway.access.register import Keys
from claude_gateway.access.request_pacing import RequestPacer
from claude_gateway.app import build_app
from claude_gateway.config import Settings
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.mcp_servers.servers import McpServers
from claude_gateway.models.catalogue import Catalogue
from claude_gateway.offload.pool import Offload
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.own_tools.toolbox import Toolbox
from claude_gateway.responses.background import Background
from claude_gateway.responses.register import Responses
from claude_gateway.service import ChatService, Check, Lease
from claude_gateway.sessions.files import SessionFiles
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.start_check import StartCheck
from claude_gateway.stores.keys import KeyStore
from claude_gateway.telemetry.metrics import Metrics
from claude_gateway.telemetry.tracing import NoTraces, Traces
from claude_gateway.web.body_memory import BodyMemory
from claude_gateway.web.current import Current
from claude_gateway.web.fetch import Fetcher
from claude_gateway.web.health import Health
from claude_gateway.web.parts import Parts
from tests.claude_gateway.mcp_servers.scripted import no_servers
from workers.bill import OnCost, not_wanted
from workers.events import BlockEnded, BlockStarted, Event, Finished, Started, TextDelta, Usage
from workers.job import ChatJob, Text, Turn
from workers.roster import Post
from workers.settings import AuthMethod

# An exception is raised where it stands; at an `asyncio.Event` the answer waits until it is set.
Step = Event | Exception | asyncio.Event

MODEL = "claude-sonnet-4-5-20250929"
COST = 0.25
STARTED = Started("claude-test")
FINISHED = Finished("end_turn", Usage(input=3, output=2))
HELLO: tuple[Event, ...] = (
    STARTED,
    BlockStarted(Text("")),
    TextDelta("Hel"),
    TextDelta("lo"),
    BlockEnded(),
    FINISHED,
)
JOB = ChatJob("owner", MODEL, (Turn("user", (Text("hi"),)),))
CHAT: Mapping[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
STREAM: Mapping[str, Any] = {**CHAT, "stream": True}


class ScriptedDispatcher:
    """Performs the next of `attempts` each time a worker is asked for; with `queue`, once that is set: `waits` is set
    when a job waits for it.

    `asked`, `closed` and `released` are set when a job came, its events ended or were left, its worker was given back
    (of several at a time: the last one); `held` counts the workers that were not.
    """

    def __init__(self, attempts: Iterable[Iterable[Step]], queue: asyncio.Event | None = None) -> None:
        self.queue = queue
        self.waits = asyncio.Event()
        self._attempts: Iterator[Iterable[Step]] = iter(attempts)
        self.jobs: list[ChatJob] = []
        self.deadlines: list[float] = []
        self.held = 0
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()
        self.released = asyncio.Event()

    @classmethod
    def always(cls, *steps: Step) -> "ScriptedDispatcher":
        return cls(repeat(steps))

    @asynccontextmanager
    async def slot(self, job: ChatJob, deadline: float, check: Check) -> AsyncIterator[Lease]:
        yield partial(self.worker, job, deadline, check)

    @asynccontextmanager
    async def worker(self, job: ChatJob, deadline: float, check: Check) -> AsyncIterator["ScriptedDispatcher"]:
        if self.queue is not None:
            self.waits.set()
            await self.queue.wait()
        await check()
        self.jobs.append(job)
        self.deadlines.append(deadline)
        self.held += 1
        self.asked.set()
        try:
            yield self
        finally:
            self.held -= 1
            if not self.held:
                self.released.set()

    async def run(self, job: ChatJob, deadline: float, on_cost: OnCost = not_wanted) -> AsyncGenerator[Event, None]:
        """Each answer costs `COST`, which is told at its end."""
        try:
            for step in next(self._attempts):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    if isinstance(step, Finished):
                        on_cost(COST)
                    yield step
        finally:
            self.closed.set()


class ScriptedPool:
    """What health sees of a pool."""

    def __init__(
        self, *, account: Mapping[str, Any] | None = None, counts: dict[str, int] | None = None, failing: bool = False
    ) -> None:
        self.account = {"apiKeySource": "ANTHROPIC_API_KEY"} if account is None else account
        self.cli_version = "9.9.9"
        self.failing = failing
        self._counts = {"ready": 2} if counts is None else counts

    def counts(self) -> dict[str, int]:
        return self._counts

    def queues(self) -> dict[str, dict[str, int]]:
        return {"chat": self.queue(), "agent": {"running": 0, "waiting": 0}}

    async def roster(self) -> list[tuple[Post, int]]:
        phases = [phase for phase, count in self._counts.items() for _ in range(count)]
        return [(Post("chat", 100 + n, phase, "environment", MODEL, n), 200) for n, phase in enumerate(phases)]

    def queue(self) -> dict[str, int]:
        return {"running": 0, "waiting": 0}


def settings(**changes: Any) -> Settings:
    """Settings that no environment of a developer can change: what a test relies on is given here."""
    values: dict[str, Any] = {
        "api_key": None,
        "default_model": MODEL,
        "model_aliases": "",
        "claude_auth_method": AuthMethod.API_KEY,
        "max_timeout": 60_000,
        "max_request_size": 100_000,
        "stream_head_seconds": 30,
        "heartbeat_seconds": 30,
        "rate_limit_enabled": False,
    }
    return Settings(_env_file=None, **values | changes)


@dataclass
class ScriptedEngine:
    """What is asked of the engine about Claude's own tools."""

    without_box: str = ""
    may_run_commands: bool = True


@dataclass
class ScriptedStore:
    """What health sees of the database."""

    failing: bool = False
    fault: str = "database or disk is full"


def scripted_app(
    dispatcher: ScriptedDispatcher,
    pool: ScriptedPool | None = None,
    *,
    store: ScriptedStore | None = None,
    sessions: Sessions | None = None,
    responses: Responses | None = None,
    fetcher: Fetcher | None = None,
    toolbox: Toolbox | None = None,
    keys: KeyStore | None = None,
    mcp_servers: McpServers | None = None,
    ledger: Ledger | None = None,
    traces: Traces | None = None,
    pacer: RequestPacer | None = None,
    reported: Sequence[Mapping[str, Any]] = (),
    **changes: Any,
) -> web.Application:
    """`reported` are the models that the CLI knows of. Without `sessions` a request that names one fails, without
    `responses` one that stores any, without `keys` one that makes a key."""
    chosen = settings(**changes)
    key_ring = KeyRing(chosen.api_key.get_secret_value() if chosen.api_key else None, keys)
    mcp_servers = mcp_servers or no_servers()
    toolbox = toolbox or Toolbox(ScriptedEngine(), None, ToolCounts(), mcp_servers)
    responses = responses or Responses(None, b"the key of the tests")
    metrics = Metrics()
    ledger = ledger or Ledger(watchers=[metrics])
    health = Health(pool or ScriptedPool(), store or ScriptedStore(), chosen.auth_method, key_ring, ledger)
    at_once = JobsAtOnce(lambda owner: key_ring.concurrent(owner) or chosen.jobs_at_once)
    current = Current(chosen, Catalogue.of(reported, chosen.default_model, chosen.aliases, chosen.auth_method), list)
    start = StartCheck(key_ring, lambda: current.catalogue, ledger)
    service = ChatService(
        dispatcher, chosen.max_timeout / 1000, toolbox.counts, ledger, at_once, current.refused, start
    )
    return build_app(
        Parts(
            current=current,
            key_ring=key_ring,
            keys=Keys(keys),
            limits=Limits(chosen.per_minute()),
            service=service,
            health=health,
            sessions=sessions or Sessions(None, chosen.sessions(), Lines(0, 0)),
            files=SessionFiles(None, chosen.agents(()).disk),
            responses=responses,
            background=Background(responses, service, chosen.background_limit, chosen.max_timeout / 1000),
            fetcher=fetcher or Fetcher(),
            toolbox=toolbox,
            ledger=ledger,
            offload=Offload(),
            body_memory=BodyMemory(chosen.body_memory_bytes),
            pacer=pacer or RequestPacer(),
            metrics=metrics,
            traces=traces or NoTraces(),
            mcp_servers=mcp_servers,
        )
    )
