"""Composition root of the gateway. No other module imports both the engine and the web layer."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from functools import partial

from aiohttp import web

from claude_gateway.auth.authenticator import Authenticator
from claude_gateway.auth.concurrency import ConcurrencyLimiter
from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import KeyStore, open_key_store
from claude_gateway.auth.models import FIRST_KEY_COMMAND
from claude_gateway.auth.rate_limit import RateLimiter
from claude_gateway.auth.request_pacing import RequestPacer
from claude_gateway.auth.signing_key import load_signing_key
from claude_gateway.builtin_tools.catalog import DEFAULT_TOOLS
from claude_gateway.builtin_tools.choice_store import ToolChoiceStore
from claude_gateway.builtin_tools.counter_store import ToolCountStore
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.builtin_tools.service import BuiltinToolService
from claude_gateway.claude_code.binary import find_bundled_binary
from claude_gateway.claude_code.engine_status import EngineStatus
from claude_gateway.claude_code.health_report import HealthReport
from claude_gateway.config import Settings
from claude_gateway.config.loading import load_serve_settings
from claude_gateway.core.clock import MonotonicWallClock
from claude_gateway.core.errors import StartupError
from claude_gateway.core.periodic import run_every
from claude_gateway.jobs.service import ChatService
from claude_gateway.jobs.start_check import StartCheck
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.manager import McpServerManager, create_session_factory
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.model_catalog.catalog import ModelCatalog
from claude_gateway.net.fetcher import Fetcher
from claude_gateway.net.name_resolver import NameResolver
from claude_gateway.observability.metrics import Metrics
from claude_gateway.observability.tracing import Tracer, create_tracer
from claude_gateway.offload.memory import release_free_memory
from claude_gateway.offload.pool import OffloadPool
from claude_gateway.runtime.listen_socket import open_listener
from claude_gateway.runtime.shutdown import Signals
from claude_gateway.runtime.systemd_notify import SystemdNotifier
from claude_gateway.sessions.cleanup import SessionCleanup
from claude_gateway.sessions.loaded_memory import LoadedMemory
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.sessions.workspace_files import SessionFiles
from claude_gateway.storage.database import DATABASE_FILE_NAME, Database, StorageUnavailable, open_database
from claude_gateway.storage.directory_lock import lock_directory
from claude_gateway.stored_responses.background import BackgroundResponses
from claude_gateway.stored_responses.response_store import ResponseStore
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.usage.budget_queue import BudgetQueue
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.usage.write_ahead_log import WriteAheadLog
from claude_gateway.web.context.body_memory import BodyMemory
from claude_gateway.web.context.live_config import LiveConfig
from claude_gateway.web.context.state import STATE, AppState
from claude_gateway.web.middleware import auth, cors, errors, login_header, model_fallback
from claude_gateway.web.request import body, expectation
from claude_gateway.web.route_lookup import add_routes
from claude_gateway.web.server import connection
from claude_gateway.web.server.shutdown import ShutdownActions, serve_app
from workers.cli.command import find_config_directory
from workers.core.errors import WorkerError
from workers.engine import Engine, run_engine
from workers.host.process_dirs import ProcessDirectories, StateDirectoryInUse, UnsafeDirectory

_log = logging.getLogger(__name__)

# The gateway returns free memory to the operating system in this interval.
_TRIM_INTERVAL_SECONDS = 10.0

_NO_KEY_WARNING = (
    "no API key exists: clients on this machine may chat, and nothing else. To create the first key, run "
    f"{FIRST_KEY_COMMAND}"
)
_NO_LOGIN_MESSAGE = "Claude Code has no login. Run `claude-gateway login` as this user, or set ANTHROPIC_API_KEY."


def build_app(state: AppState) -> web.Application:
    """Return the web application. Tests pass a state with scripted services."""
    app = web.Application(
        middlewares=[
            errors.track_request,
            connection.track_connection,
            errors.handle_errors,
            cors.handle_preflight,
            auth.authorize_request,
            expectation.check_expectation,
            body.release_body_memory,
            model_fallback.retry_with_replacement,
        ],
        client_max_size=state.settings.max_request_size,
    )
    app.on_response_prepare.append(errors.add_request_id)
    app.on_response_prepare.append(expectation.close_if_not_continued)
    app.on_response_prepare.append(cors.add_cors_headers)
    app.on_response_prepare.append(auth.add_rate_limit_headers)
    app.on_response_prepare.append(model_fallback.add_replacement_warning)
    app.on_response_prepare.append(login_header.add_login_header)
    app[STATE] = state
    app.on_cleanup.append(lambda _: state.offload.close())
    add_routes(app)
    return app


@asynccontextmanager
async def running_gateway(settings: Settings, signals: Signals | None = None) -> AsyncIterator[str]:
    """Run the gateway and listen for requests while a `with` block runs.

    After the block, the gateway drains: it starts no new jobs, and running jobs may continue for
    `DRAIN_TIMEOUT_SECONDS`, or for less time if a signal forces the shutdown. Then the gateway ends all its processes.

    Args:
        settings: The settings with which the gateway starts.
        signals: The events by which signal handlers force the shutdown or request a reload of the settings; None if
            there are no signal handlers.

    Yields:
        The URL of the gateway.

    Raises:
        StartupError: The gateway cannot start. The text tells the operator what to do.
    """
    # The gateway locks the state directory first, so that a second gateway fails before it opens or writes anything.
    async with _lock_state_directory(settings), _run_gateway(settings, signals or Signals()) as url:
        yield url


@asynccontextmanager
async def _run_gateway(settings: Settings, signals: Signals) -> AsyncIterator[str]:
    notifier = SystemdNotifier(os.environ)
    listener = open_listener(settings, os.environ)
    metrics = Metrics()
    try:
        clock = MonotonicWallClock()
        # This memory is separate from the memory for request bodies, because a request that waits for it already holds
        # memory for its body.
        loaded_memory = LoadedMemory(BodyMemory(settings.body_memory_bytes // 2), settings.queue_timeout_seconds)
        async with (
            _open_tracer() as tracer,
            _open_engine(settings, metrics) as engine,
            _open_database(settings) as database,
            open_key_store(database, settings.state_dir / DATABASE_FILE_NAME) as key_store,
            _open_usage_recorder(settings, database, metrics, tracer) as usage_recorder,
            _open_session_service(settings, database, engine, clock, loaded_memory) as sessions,
            aclosing(NameResolver()) as name_resolver,
            _open_mcp_servers(settings, database, name_resolver) as mcp_servers,
        ):
            responses = ResponseService(
                ResponseStore(database, settings.stored_response_limits()),
                await load_signing_key(database),
                clock,
                loaded_memory,
            )
            await responses.fail_unfinished()
            state = _build_state(
                settings,
                engine,
                database,
                key_store,
                usage_recorder,
                sessions,
                responses,
                mcp_servers,
                name_resolver,
                metrics,
                tracer,
            )
            await state.authenticator.refresh()
            shutdown_actions = ShutdownActions(
                partial(_reject_waiters, state.chat_service, engine),
                partial(_shut_down, state.chat_service, engine),
                signals.force_shutdown,
            )
            async with (
                mcp_servers.keep_connected(partial(_can_use_mcp, state.authenticator)),
                ToolCountStore(database).run(state.builtin_tools.counters),
                notifier.watchdog(lambda: state.shutdown.is_draining or not state.health.pool.is_failing),
                run_every(
                    _TRIM_INTERVAL_SECONDS,
                    partial(asyncio.to_thread, release_free_memory),
                    task_name="the return of free memory to the system",
                ),
                serve_app(build_app(state), listener, shutdown_actions),
            ):
                notifier.notify_ready(f"Serving on {listener.url}")
                if state.authenticator.key_origin == "none":
                    # The gateway logs this warning after the line that contains its address.
                    asyncio.get_running_loop().call_soon(_log.warning, _NO_KEY_WARNING)
                reload_task = asyncio.create_task(_reload_on_signal(state, signals.reload, notifier, listener.url))
                prestart_task = asyncio.create_task(state.offload.prestart())
                try:
                    yield listener.url
                finally:
                    reload_task.cancel()
                    prestart_task.cancel()
                    notifier.notify_stopping()
    finally:
        listener.socket.close()


async def _can_use_mcp(authenticator: Authenticator, key_id: str) -> bool:
    await authenticator.refresh()
    return authenticator.has_scope(key_id, "mcp")


async def _reload_on_signal(
    state: AppState, reload_requested: asyncio.Event, notifier: SystemdNotifier, url: str
) -> None:
    while True:
        await reload_requested.wait()
        reload_requested.clear()
        notifier.notify_reloading()
        try:
            loaded = await asyncio.to_thread(load_serve_settings)
            state.live_config.reload(loaded.settings, state.authenticator, state.rate_limiter)
            for warning in loaded.warnings:
                _log.warning("%s", warning)
            # If the operator changed API_KEY, the gateway disconnects the MCP servers of the old key at once.
            await state.mcp_servers.disconnect_unauthorized(partial(_can_use_mcp, state.authenticator))
        except ValueError as error:
            _log.error("cannot reload the settings, so all of them stay as they were: %s", error)
        notifier.notify_ready(f"Serving on {url}")


def _reject_waiters(service: ChatService, engine: Engine, retry_after: float) -> None:
    service.reject_waiters(retry_after)
    engine.reject_waiters(retry_after)


async def _shut_down(service: ChatService, engine: Engine) -> None:
    service.begin_shutdown()
    await engine.stop()


def _build_state(
    settings: Settings,
    engine: Engine,
    database: Database,
    key_store: KeyStore,
    usage_recorder: UsageRecorder,
    sessions: SessionService,
    responses: ResponseService,
    mcp_servers: McpServerManager,
    name_resolver: NameResolver,
    metrics: Metrics,
    tracer: Tracer,
) -> AppState:
    engine_status = EngineStatus(engine)
    authenticator = Authenticator(
        settings.api_key.get_secret_value() if settings.api_key else None,
        key_store,
        api_key_group=settings.api_key_group,
    )
    health = HealthReport(engine_status, database, settings.auth_method, authenticator, usage_recorder, engine.logins)
    if not health.has_login():
        raise StartupError(_NO_LOGIN_MESSAGE)
    try:
        catalog = ModelCatalog.from_cli_models(
            engine_status.models, settings.default_model, settings.parsed_model_aliases, settings.auth_method
        )
    except ValueError as error:
        raise StartupError(f"MODEL_ALIASES: {error}") from None
    live_config = LiveConfig(settings, catalog, lambda: engine_status.models)
    tool_counters = ToolCounters()
    concurrency_limiter = ConcurrencyLimiter(
        lambda key_id: authenticator.get_concurrency_limit(key_id) or live_config.settings.max_concurrent_jobs_per_key
    )
    start_check = StartCheck(authenticator, lambda: live_config.catalog, usage_recorder)
    budget_queue = BudgetQueue(
        usage_recorder.get_spend_today, time.time, settings.max_queued_jobs, settings.queue_timeout_seconds
    )
    pacer = RequestPacer()
    chat_service = ChatService(
        engine,
        settings.max_timeout / 1000,
        tool_counters,
        usage_recorder,
        concurrency_limiter,
        live_config.mark_model_rejected,
        start_check,
        budget_queue,
        pacer,
    )
    builtin_tools = BuiltinToolService(engine, ToolChoiceStore(database), tool_counters, mcp_servers)
    if builtin_tools.no_commands_reason:
        _log.warning("the built-in tool Bash is off: %s", builtin_tools.no_commands_reason)
    background_responses = BackgroundResponses(
        responses, chat_service, settings.max_background_responses_per_key, settings.max_timeout / 1000
    )
    return AppState(
        live_config=live_config,
        authenticator=authenticator,
        key_service=KeyService(key_store),
        rate_limiter=RateLimiter(settings.requests_per_minute()),
        chat_service=chat_service,
        health=health,
        sessions=sessions,
        session_files=SessionFiles(engine.workspaces, settings.agent_settings(DEFAULT_TOOLS).disk_limits),
        stored_responses=responses,
        background_responses=background_responses,
        fetcher=Fetcher(name_resolver),
        builtin_tools=builtin_tools,
        mcp_servers=mcp_servers,
        usage_recorder=usage_recorder,
        body_memory=BodyMemory(settings.body_memory_bytes),
        offload=OffloadPool(),
        pacer=pacer,
        metrics=metrics,
        traces=tracer,
    )


@asynccontextmanager
async def _lock_state_directory(settings: Settings) -> AsyncIterator[None]:
    with ExitStack() as locks:
        try:
            await asyncio.to_thread(locks.enter_context, lock_directory(settings.state_dir))
        except StateDirectoryInUse as error:
            raise StartupError(_in_use_message(error)) from None
        except OSError as error:
            raise StartupError(f"Cannot use STATE_DIR: {error}") from None
        yield


def _in_use_message(error: StateDirectoryInUse) -> str:
    return f"Another gateway uses {error}. Set another STATE_DIR (and CLAUDE_CWD, if set) for this one."


@asynccontextmanager
async def _open_tracer() -> AsyncIterator[Tracer]:
    tracer = await asyncio.to_thread(create_tracer, os.environ)
    try:
        yield tracer
    finally:
        await asyncio.to_thread(tracer.close)


@asynccontextmanager
async def _open_engine(settings: Settings, metrics: Metrics) -> AsyncIterator[Engine]:
    # Each worker starts in its own directory, where a relative path would not lead to the binary.
    cli_path = await asyncio.to_thread((settings.claude_cli_path or find_bundled_binary()).expanduser().resolve)
    if not await asyncio.to_thread(os.access, cli_path, os.X_OK):
        raise StartupError(f"No executable claude binary at {cli_path}. Set CLAUDE_CLI_PATH, or run `make setup`.")
    process_dirs = ProcessDirectories(settings.claude_cwd or settings.state_dir)
    try:
        async with run_engine(
            process_dirs,
            settings.launch_settings(cli_path),
            settings.pool_settings(),
            settings.queue_settings(),
            settings.agent_settings(DEFAULT_TOOLS),
            metrics,
            allows_login_fallback=settings.login_fallback,
        ) as engine:
            yield engine
    except StateDirectoryInUse as error:
        raise StartupError(_in_use_message(error)) from None
    except UnsafeDirectory as error:
        raise StartupError(
            f"{error} must be a directory of this user with mode 0700. Change it, or set STATE_DIR or CLAUDE_CWD."
        ) from None
    except OSError as error:
        raise StartupError(f"Cannot use STATE_DIR or CLAUDE_CWD: {error}") from None
    except WorkerError as error:
        raise StartupError(f"{error.message} {error.detail}".strip()) from error


@asynccontextmanager
async def _open_database(settings: Settings) -> AsyncIterator[Database]:
    try:
        async with open_database(settings.state_dir / DATABASE_FILE_NAME) as database, database.run_recovery_checks():
            yield database
    except StorageUnavailable as error:
        raise StartupError(str(error)) from None


@asynccontextmanager
async def _open_usage_recorder(
    settings: Settings, database: Database, metrics: Metrics, tracer: Tracer
) -> AsyncIterator[UsageRecorder]:
    try:
        write_ahead_log = await asyncio.to_thread(WriteAheadLog, settings.state_dir / DATABASE_FILE_NAME)
    except OSError as error:
        raise StartupError(f"Cannot use STATE_DIR for usage records: {error}") from None
    try:
        usage_recorder = UsageRecorder(UsageStore(database, write_ahead_log), observers=[metrics, tracer])
        async with usage_recorder.run(settings.usage_retention_days):
            yield usage_recorder
    finally:
        write_ahead_log.close()


@asynccontextmanager
async def _open_session_service(
    settings: Settings, database: Database, engine: Engine, clock: MonotonicWallClock, loaded_memory: LoadedMemory
) -> AsyncIterator[SessionService]:
    lock_timeout = min(settings.queue_timeout_seconds, settings.max_timeout / 1000)
    locks = SessionLocks(settings.max_queued_jobs, lock_timeout)
    cleanup = SessionCleanup(engine.agent_pool, ToolChoiceStore(database), settings.session_ttl_seconds)
    sessions = SessionService(SessionStore(database), settings.session_limits(), locks, clock, cleanup, loaded_memory)
    async with sessions.run_cleanup():
        yield sessions


@asynccontextmanager
async def _open_mcp_servers(
    settings: Settings, database: Database, name_resolver: NameResolver
) -> AsyncIterator[McpServerManager]:
    limits, policy = settings.mcp_limits(), settings.mcp_policy()
    login_dirs = [find_config_directory(credentials, os.environ) for credentials in settings.list_credentials()]
    secret_dirs = await asyncio.to_thread(lambda: settings.secret_directories)
    launcher = ServerLauncher(
        settings.state_dir / "mcp-servers",
        settings.build_mcp_sandbox(settings.agent_uid if os.geteuid() == 0 else None),
        require_sandbox=settings.mcp_sandbox == "required",
        secret_dirs=(settings.state_dir, settings.claude_cwd or settings.state_dir, *login_dirs, *secret_dirs),
    )
    create_session = create_session_factory(
        limits, launcher, name_resolver, allow_private=policy.allow_private_addresses
    )
    manager = McpServerManager(McpServerStore(database), policy, limits, launcher, create_session)
    try:
        await launcher.open()
    except (StateDirectoryInUse, UnsafeDirectory, OSError) as error:
        raise StartupError(f"Cannot use STATE_DIR for MCP servers: {error}") from None
    try:
        yield manager
    finally:
        launcher.close()
