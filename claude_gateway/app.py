"""The composition root: the only module that sees both the engine and the web layer."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from functools import partial

from aiohttp import web

from claude_gateway.access.at_once import JobsAtOnce
from claude_gateway.access.key_ring import KeyRing
from claude_gateway.access.keys import FIRST_KEY_COMMAND
from claude_gateway.access.limits import Limits
from claude_gateway.access.register import Keys
from claude_gateway.access.request_pacing import RequestPacer
from claude_gateway.claude_code.bundled_cli import bundled_cli
from claude_gateway.claude_code.engine_report import EngineReport
from claude_gateway.config import Settings
from claude_gateway.config.reading import read_settings_to_serve
from claude_gateway.daemon.listener import listen
from claude_gateway.daemon.service_manager import ServiceManager
from claude_gateway.daemon.signals import Signals
from claude_gateway.ledger.budget_queue import BudgetQueue
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.loaded_memory import LoadedMemory
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.servers import McpServers, opener
from claude_gateway.models.catalogue import Catalogue
from claude_gateway.name_resolver import NameResolver
from claude_gateway.offload.memory import give_back
from claude_gateway.offload.pool import Offload
from claude_gateway.own_tools.built_in import USUAL
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.own_tools.toolbox import Toolbox
from claude_gateway.responses.background import Background
from claude_gateway.responses.register import Responses
from claude_gateway.service import ChatService
from claude_gateway.sessions.files import SessionFiles
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.sessions.work import SessionWork
from claude_gateway.start_check import StartCheck
from claude_gateway.start_failed import StartFailed
from claude_gateway.steady_clock import SteadyClock
from claude_gateway.stores.db import DATABASE, Database, StoreUnusable, open_database
from claude_gateway.stores.directory_lock import locked
from claude_gateway.stores.keys import KeyStore, open_keys
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.ledger_journal import Journal
from claude_gateway.stores.mcp_servers import McpServerStore
from claude_gateway.stores.responses import ResponseStore
from claude_gateway.stores.seal_key import seal_key
from claude_gateway.stores.sessions import SessionStore
from claude_gateway.stores.tool_choices import ToolChoiceStore
from claude_gateway.stores.tool_counts import ToolCountStore
from claude_gateway.telemetry.metrics import Metrics
from claude_gateway.telemetry.tracing import Traces, open_traces
from claude_gateway.web import admission, body, chosen_model, connection, cors, expectation, middlewares
from claude_gateway.web.body_memory import BodyMemory
from claude_gateway.web.current import Current
from claude_gateway.web.fetch import Fetcher
from claude_gateway.web.health import Health
from claude_gateway.web.parts import PARTS, Parts
from claude_gateway.web.routes import add_routes
from claude_gateway.web.server import Ending, accepting
from workers.engine import Engine, running_engine
from workers.errors import WorkerError
from workers.homes import Homes, StateDirectoryInUse, UnsafeDirectory
from workers.launch import config_directory

_log = logging.getLogger(__name__)

# How often free memory is returned to the system.
_TRIM_SECONDS = 10.0

_NO_KEY_YET = f"no key yet: callers from this machine may chat, and no more. Make the first one: {FIRST_KEY_COMMAND}"
_HOW_TO_LOG_IN = "Claude Code has no login. Either run `claude-gateway login` as this user, or set ANTHROPIC_API_KEY."


def build_app(parts: Parts) -> web.Application:
    """The web application over whatever answers jobs; tests hand in scripted parts."""
    app = web.Application(
        middlewares=[
            middlewares.identify_request,
            connection.count_connection,
            middlewares.answer_errors,
            cors.answer_preflights,
            admission.admit,
            expectation.check_expectation,
            body.release_memory,
            chosen_model.ask_the_heir,
        ],
        client_max_size=parts.settings.max_request_size,
    )
    app.on_response_prepare.append(middlewares.add_request_id)
    app.on_response_prepare.append(expectation.close_untold)
    app.on_response_prepare.append(cors.add_origin)
    app.on_response_prepare.append(admission.add_standing)
    app.on_response_prepare.append(chosen_model.name_the_heir)
    app[PARTS] = parts
    app.on_cleanup.append(lambda _: parts.offload.close())
    add_routes(app)
    return app


@asynccontextmanager
async def running_gateway(settings: Settings, signals: Signals | None = None) -> AsyncIterator[str]:
    """A listening gateway for the length of a `with`; yields its address. Raises `StartFailed`.

    Leaving it drains: nothing new is begun, running answers have `DRAIN_SECONDS`, or until they are to hurry; then
    every process ends.
    """
    # First of all: a second gateway is turned away before it opens or writes anything.
    async with _state_directory(settings), _locked_gateway(settings, signals or Signals()) as url:
        yield url


@asynccontextmanager
async def _locked_gateway(settings: Settings, signals: Signals) -> AsyncIterator[str]:
    manager = ServiceManager(os.environ)
    listener = listen(settings, os.environ)
    metrics = Metrics()
    try:
        clock = SteadyClock()
        # Apart from that of bodies: a request that waits for this one holds that one already.
        memory = LoadedMemory(BodyMemory(settings.body_memory_bytes // 2), settings.queue_timeout_seconds)
        async with (
            _traces() as traces,
            _engine(settings, metrics) as engine,
            _database(settings) as database,
            open_keys(database, settings.state_dir / DATABASE) as keys,
            _ledger(settings, database, metrics, traces) as ledger,
            _sessions(settings, database, engine, clock, memory) as sessions,
            aclosing(NameResolver()) as names,
            _mcp_servers(settings, database, names) as mcp_servers,
        ):
            responses = Responses(
                ResponseStore(database, settings.responses()), await seal_key(database), clock, memory
            )
            await responses.recover()
            parts = _compose(
                settings, engine, database, keys, ledger, sessions, responses, mcp_servers, names, metrics, traces
            )
            await parts.key_ring.follow()
            ending = Ending(
                partial(_refuse_waiting, parts.service, engine),
                partial(_stop_work, parts.service, engine),
                signals.hurry,
            )
            async with (
                mcp_servers.running(partial(_may_have_servers, parts.key_ring)),
                ToolCountStore(database).keeping(parts.toolbox.counts),
                manager.watchdog(lambda: parts.drain.is_on or not parts.health.pool.failing),
                accepting(build_app(parts), listener, ending),
            ):
                manager.ready(f"Serving on {listener.url}")
                if parts.key_ring.kind == "none":
                    # Behind the line that says where it serves.
                    asyncio.get_running_loop().call_soon(_log.warning, _NO_KEY_YET)
                renewing = asyncio.create_task(_renew_when_told(parts, signals.renew, manager, listener.url))
                warming = asyncio.create_task(parts.offload.warm())
                trimming = asyncio.create_task(_give_back_memory())
                try:
                    yield listener.url
                finally:
                    renewing.cancel()
                    warming.cancel()
                    trimming.cancel()
                    manager.stopping()
    finally:
        listener.socket.close()


async def _give_back_memory() -> None:
    while True:
        await asyncio.sleep(_TRIM_SECONDS)
        await asyncio.to_thread(give_back)


async def _may_have_servers(key_ring: KeyRing, owner: str) -> bool:
    await key_ring.follow()
    return key_ring.may(owner, "mcp")


async def _renew_when_told(parts: Parts, told: asyncio.Event, manager: ServiceManager, url: str) -> None:
    while True:
        await told.wait()
        told.clear()
        manager.reloading()
        try:
            reading = await asyncio.to_thread(read_settings_to_serve)
            parts.current.renew(reading.settings, parts.key_ring, parts.limits)
            for warning in reading.warnings:
                _log.warning("%s", warning)
            # With the key of the environment its servers go, at once.
            await parts.mcp_servers.sweep(partial(_may_have_servers, parts.key_ring))
        except ValueError as error:
            _log.error("settings stay as they were: %s", error)
        manager.ready(f"Serving on {url}")


def _refuse_waiting(service: ChatService, engine: Engine, retry_after: float) -> None:
    service.refuse_waiting(retry_after)
    engine.refuse_waiting(retry_after)


async def _stop_work(service: ChatService, engine: Engine) -> None:
    service.stop()
    await engine.stop()


def _compose(
    settings: Settings,
    engine: Engine,
    database: Database,
    keys: KeyStore,
    ledger: Ledger,
    sessions: Sessions,
    responses: Responses,
    mcp_servers: McpServers,
    names: NameResolver,
    metrics: Metrics,
    traces: Traces,
) -> Parts:
    report = EngineReport(engine)
    key_ring = KeyRing(settings.api_key.get_secret_value() if settings.api_key else None, keys)
    health = Health(report, database, settings.auth_method, key_ring, ledger)
    if not health.has_login():
        raise StartFailed(_HOW_TO_LOG_IN)
    try:
        catalogue = Catalogue.of(report.models, settings.default_model, settings.aliases, settings.auth_method)
    except ValueError as error:
        raise StartFailed(f"MODEL_ALIASES: {error}") from None
    current = Current(settings, catalogue, lambda: report.models)
    counts = ToolCounts()
    at_once = JobsAtOnce(lambda owner: key_ring.concurrent(owner) or current.settings.jobs_at_once)
    start = StartCheck(key_ring, lambda: current.catalogue, ledger)
    budgets = BudgetQueue(ledger.spent, time.time, settings.queue_limit, settings.queue_timeout_seconds)
    pacer = RequestPacer()
    service = ChatService(
        engine, settings.max_timeout / 1000, counts, ledger, at_once, current.refused, start, budgets, pacer
    )
    toolbox = Toolbox(engine, ToolChoiceStore(database), counts, mcp_servers)
    if toolbox.no_commands:
        _log.warning("Claude's own tools: Bash is off, %s", toolbox.no_commands)
    background = Background(responses, service, settings.background_limit, settings.max_timeout / 1000)
    return Parts(
        current=current,
        key_ring=key_ring,
        keys=Keys(keys),
        limits=Limits(settings.per_minute()),
        service=service,
        health=health,
        sessions=sessions,
        files=SessionFiles(engine.places, settings.agents(USUAL).disk),
        responses=responses,
        background=background,
        fetcher=Fetcher(names),
        toolbox=toolbox,
        mcp_servers=mcp_servers,
        ledger=ledger,
        body_memory=BodyMemory(settings.body_memory_bytes),
        offload=Offload(),
        pacer=pacer,
        metrics=metrics,
        traces=traces,
    )


@asynccontextmanager
async def _state_directory(settings: Settings) -> AsyncIterator[None]:
    with ExitStack() as held:
        try:
            await asyncio.to_thread(held.enter_context, locked(settings.state_dir))
        except StateDirectoryInUse as error:
            raise StartFailed(_in_use(error)) from None
        except OSError as error:
            raise StartFailed(f"Cannot use STATE_DIR: {error}") from None
        yield


def _in_use(error: StateDirectoryInUse) -> str:
    return f"Another gateway works in {error}; give this one its own STATE_DIR (and CLAUDE_CWD, if set)."


@asynccontextmanager
async def _traces() -> AsyncIterator[Traces]:
    traces = await asyncio.to_thread(open_traces, os.environ)
    try:
        yield traces
    finally:
        await asyncio.to_thread(traces.close)


@asynccontextmanager
async def _engine(settings: Settings, metrics: Metrics) -> AsyncIterator[Engine]:
    # Resolved here: a worker is started in a directory of its own.
    cli_path = await asyncio.to_thread((settings.claude_cli_path or bundled_cli()).expanduser().resolve)
    if not await asyncio.to_thread(os.access, cli_path, os.X_OK):
        raise StartFailed(f"No claude binary to run at {cli_path}. Set CLAUDE_CLI_PATH, or run `make setup`.")
    homes = Homes(settings.claude_cwd or settings.state_dir)
    try:
        async with running_engine(
            homes, settings.launch(cli_path), settings.pool(), settings.queue(), settings.agents(USUAL), metrics
        ) as engine:
            yield engine
    except StateDirectoryInUse as error:
        raise StartFailed(_in_use(error)) from None
    except UnsafeDirectory as error:
        raise StartFailed(f"Not a directory of this user alone: {error}. Set STATE_DIR or CLAUDE_CWD.") from None
    except OSError as error:
        raise StartFailed(f"Cannot use STATE_DIR or CLAUDE_CWD: {error}") from None
    except WorkerError as error:
        raise StartFailed(f"{error.message} {error.detail}".strip()) from error


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    try:
        async with open_database(settings.state_dir / DATABASE) as database, database.tried_again():
            yield database
    except StoreUnusable as error:
        raise StartFailed(str(error)) from None


@asynccontextmanager
async def _ledger(settings: Settings, database: Database, metrics: Metrics, traces: Traces) -> AsyncIterator[Ledger]:
    try:
        journal = await asyncio.to_thread(Journal, settings.state_dir / DATABASE)
    except OSError as error:
        raise StartFailed(f"Cannot use STATE_DIR for the ledger: {error}") from None
    try:
        ledger = Ledger(LedgerStore(database, journal), watchers=[metrics, traces])
        async with ledger.kept(settings.usage_retention_days):
            yield ledger
    finally:
        journal.close()


@asynccontextmanager
async def _sessions(
    settings: Settings, database: Database, engine: Engine, clock: SteadyClock, memory: LoadedMemory
) -> AsyncIterator[Sessions]:
    patience = min(settings.queue_timeout_seconds, settings.max_timeout / 1000)
    lines = Lines(settings.queue_limit, patience)
    work = SessionWork(engine.agents, ToolChoiceStore(database), settings.session_ttl_seconds)
    sessions = Sessions(SessionStore(database), settings.sessions(), lines, clock, work, memory)
    async with sessions.swept():
        yield sessions


@asynccontextmanager
async def _mcp_servers(settings: Settings, database: Database, names: NameResolver) -> AsyncIterator[McpServers]:
    bounds, rules = settings.mcp_bounds(), settings.mcp_rules()
    config = config_directory(settings.credentials(), os.environ)
    housing = Housing(
        settings.state_dir / "mcp-servers",
        settings.mcp_program_box(settings.agent_uid if os.geteuid() == 0 else None),
        must_box=settings.mcp_box == "required",
        secret=(settings.state_dir, settings.claude_cwd or settings.state_dir, config),
    )
    opened = opener(bounds, housing, names, private=rules.private_addresses)
    servers = McpServers(McpServerStore(database), rules, bounds, housing, opened)
    try:
        await housing.open()
    except (StateDirectoryInUse, UnsafeDirectory, OSError) as error:
        raise StartFailed(f"Cannot use STATE_DIR for MCP servers: {error}") from None
    try:
        yield servers
    finally:
        housing.close()
