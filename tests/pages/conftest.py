"""The pages as a person sees them, in a real browser: Debian's own Chromium, headless.

A page that writes an error to its console, or asks any host but the one it came from, fails its test.
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

from claude_gateway.ledger.ledger import Ledger
from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.rules import Rules
from claude_gateway.mcp_servers.servers import McpServers
from claude_gateway.sessions.lines import Lines
from claude_gateway.sessions.register import Sessions
from claude_gateway.stores.db import open_database
from claude_gateway.stores.keys import open_keys
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.mcp_servers import McpServerStore
from claude_gateway.stores.sessions import SessionStore
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer, anybody
from tests.claude_gateway.scripted import HELLO, ScriptedDispatcher, ScriptedPool, scripted_app, settings
from tests.installed import need
from tests.workers.helpers import PATIENCE

# Kept for whoever wants to see them; git knows nothing of them.
SCREENSHOTS = Path(__file__).parent / "screenshots"
_OF_THE_MACHINE = ("127.0.0.1", "localhost")
# Whatever else a page asks for is not even looked up.
_NOWHERE_ELSE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"

RULES = Rules(commands=(("/opt/library",),))

# What a page shows comes when it can, on a slow machine too.
expect.set_options(timeout=30_000)

Site = Callable[..., Awaitable[str]]


class Visits:
    """The pages that a test opens, and what they complain of."""

    def __init__(self, browser: Browser, contexts: AsyncExitStack) -> None:
        self._browser = browser
        self._contexts = contexts
        self._complaints: list[str] = []
        self._expected: list[str] = []

    async def open(self, url: str, **look: Any) -> Page:
        """A page in a profile of its own. `look` is Playwright's: `viewport`, `color_scheme`, `locale`, ..."""
        context = await self._contexts.enter_async_context(await self._browser.new_context(**look))
        self._listen(context)
        page = await context.new_page()
        await page.goto(url)
        return page

    def expect(self, complaint: str) -> None:
        """A complaint that belongs to the test: a regular expression, which something in the console must match."""
        self._expected.append(complaint)

    def forget(self) -> None:
        """Whatever was complained of or expected so far."""
        self._complaints.clear()
        self._expected.clear()

    async def screenshot(self, page: Page, name: str) -> None:
        await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def check(self) -> None:
        heard = [(one, [word for word in self._expected if re.search(word, one)]) for one in self._complaints]
        assert [one for one, expected in heard if not expected] == []
        assert {word for _, expected in heard for word in expected} == set(self._expected)

    def _listen(self, context: BrowserContext) -> None:
        context.on("console", self._hear)
        context.on("weberror", lambda error: self._complaints.append(f"uncaught: {error.error}"))
        context.on("request", self._follow)

    def _hear(self, message: ConsoleMessage) -> None:
        # A picture of the site is what the browser asks for by itself, where a page names none.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self._complaints.append(f"console: {message.text}")

    def _follow(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname not in _OF_THE_MACHINE:
            self._complaints.append(f"another host: {request.url}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    need({"chromium": "chromium"})
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[_NOWHERE_ELSE])
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visits(browser: Browser, site: Site) -> AsyncIterator[Visits]:
    """Closed before the site is: no page sees it go."""
    async with AsyncExitStack() as contexts:
        opened = Visits(browser, contexts)
        yield opened
    opened.check()


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """`await site(dispatcher, **settings)` is the address of a listening gateway over it, with a database of its own;
    without a dispatcher every job is answered "Hello"."""
    path = tmp_path / "gateway.db"
    async with open_database(path) as database, open_keys(database, path) as keys, AsyncExitStack() as servers:
        mcp_servers = McpServers(McpServerStore(database), RULES, Bounds(), Housing(tmp_path), ScriptedServer().opened)
        await servers.enter_async_context(mcp_servers.running(anybody))
        ledger = Ledger(LedgerStore(database))
        sessions = Sessions(SessionStore(database), settings().sessions(), Lines(10, PATIENCE))

        async def start(
            dispatcher: ScriptedDispatcher | None = None, pool: ScriptedPool | None = None, **changes: Any
        ) -> str:
            job_by_job = dispatcher or ScriptedDispatcher.always(*HELLO)
            parts = {"sessions": sessions, "keys": keys, "mcp_servers": mcp_servers, "ledger": ledger}
            app = scripted_app(job_by_job, pool, **parts, **changes)
            server = await servers.enter_async_context(TestServer(app))
            return str(server.make_url("")).rstrip("/")

        yield start
