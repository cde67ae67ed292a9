"""Fixtures for tests of the pages in a real browser: the headless Chromium of Debian.

A page that logs an error to the console, or sends a request to another host, fails its test.
"""

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect

from claude_gateway.auth.key_store import open_key_store
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.manager import McpServerManager
from claude_gateway.mcp_servers.policy import RegistrationPolicy
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.sessions.service import SessionService
from claude_gateway.sessions.session_lock import SessionLocks
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.database import open_database
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer, allow_any_key
from tests.claude_gateway.scripted import (
    HELLO_EVENTS,
    ScriptedPool,
    ScriptedWorkerSource,
    build_scripted_app,
    make_settings,
)
from tests.installed import require_programs
from tests.workers.helpers import TIMEOUT_SECONDS

# Tests save screenshots here for a visual check; git ignores the directory.
SCREENSHOTS = Path(__file__).parent / "screenshots"
_LOCAL_HOSTS = ("127.0.0.1", "localhost")
# Chromium does not resolve any other host.
_CHROMIUM_HOST_RULES = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"

POLICY = RegistrationPolicy(allowed_commands=(("/opt/library",),))

# Long enough for a slow machine.
expect.set_options(timeout=30_000)

StartGateway = Callable[..., Awaitable[str]]


class MonitoredBrowser:
    """The browser of one test, which records the problems that its pages report."""

    def __init__(self, browser: Browser, contexts: AsyncExitStack) -> None:
        self._browser = browser
        self._contexts = contexts
        self._problems: list[str] = []
        self._expected_patterns: list[str] = []

    async def open_page(self, url: str, **context_options: Any) -> Page:
        """Open a page in a new profile. `context_options` are those of Playwright, such as `viewport` and `locale`."""
        context = await self._contexts.enter_async_context(await self._browser.new_context(**context_options))
        self._attach_listeners(context)
        page = await context.new_page()
        await page.goto(url)
        return page

    def expect_problem(self, pattern: str) -> None:
        """Expect a problem that matches this regular expression; the test fails if there is none."""
        self._expected_patterns.append(pattern)

    def clear_problems(self) -> None:
        """Forget all reported and expected problems."""
        self._problems.clear()
        self._expected_patterns.clear()

    async def screenshot(self, page: Page, name: str) -> None:
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def check_problems(self) -> None:
        """Fail if there is an unexpected problem, or if an expected one is missing."""
        matches = [
            (problem, [pattern for pattern in self._expected_patterns if re.search(pattern, problem)])
            for problem in self._problems
        ]
        assert [problem for problem, patterns in matches if not patterns] == []
        assert {pattern for _, patterns in matches for pattern in patterns} == set(self._expected_patterns)

    def _attach_listeners(self, context: BrowserContext) -> None:
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._problems.append(f"uncaught: {error.error}"))
        context.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        # The browser requests an icon by itself if a page names none.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self._problems.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname not in _LOCAL_HOSTS:
            self._problems.append(f"another host: {request.url}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    require_programs({"chromium": "chromium"})
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[_CHROMIUM_HOST_RULES]
        )
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def monitored_browser(browser: Browser, start_gateway: StartGateway) -> AsyncIterator[MonitoredBrowser]:
    """Close all pages before the gateway stops, so that no page reports a lost connection."""
    async with AsyncExitStack() as contexts:
        opened = MonitoredBrowser(browser, contexts)
        yield opened
    opened.check_problems()


@pytest_asyncio.fixture(loop_scope="module")
async def start_gateway(tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Start gateways with one database.

    `await start_gateway(dispatcher, **settings)` returns the URL of a listening gateway. Without a dispatcher, each job
    gets the reply "Hello".
    """
    path = tmp_path / "gateway.db"
    async with open_database(path) as database, open_key_store(database, path) as keys, AsyncExitStack() as servers:
        mcp_servers = McpServerManager(
            McpServerStore(database), POLICY, McpLimits(), ServerLauncher(tmp_path), ScriptedServer().open_session
        )
        await servers.enter_async_context(mcp_servers.keep_connected(allow_any_key))
        usage_recorder = UsageRecorder(UsageStore(database))
        sessions = SessionService(
            SessionStore(database), make_settings().session_limits(), SessionLocks(10, TIMEOUT_SECONDS)
        )

        async def start(
            dispatcher: ScriptedWorkerSource | None = None, pool: ScriptedPool | None = None, **changes: Any
        ) -> str:
            worker_source = dispatcher or ScriptedWorkerSource.repeating(*HELLO_EVENTS)
            parts = {"sessions": sessions, "keys": keys, "mcp_servers": mcp_servers, "usage_recorder": usage_recorder}
            app = build_scripted_app(worker_source, pool, **parts, **changes)
            server = await servers.enter_async_context(TestServer(app))
            return str(server.make_url("")).rstrip("/")

        yield start
