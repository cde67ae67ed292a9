"""Tests for the fixture that reports problems of a page."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.pages.conftest import MonitoredBrowser, StartGateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_opens_a_page(monitored_browser: MonitoredBrowser, start_gateway: StartGateway) -> None:
    page = await monitored_browser.open_page(f"{await start_gateway()}/health")

    assert '"healthy"' in await page.inner_text("body")


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("console.error('oh')", "console: oh"),
        ("throw new Error('oh')", "uncaught: .*oh"),
        ("img.src = 'https://example.com/x'", "another host: https://example.com/x"),
    ],
)
async def test_reported_problem_fails_the_test(monitored_browser: MonitoredBrowser, script: str, problem: str) -> None:
    async with TestServer(_page(f"<img id=img><script>{script}</script>")) as server:
        await monitored_browser.open_page(
            str(server.make_url("/"))
        )  # returns after everything on the page has loaded or failed

    with pytest.raises(AssertionError):
        monitored_browser.check_problems()
    monitored_browser.expect_problem(problem)
    if "img" in script:
        monitored_browser.expect_problem("ERR_NAME_NOT_RESOLVED")


async def test_missing_expected_problem_fails_the_test(monitored_browser: MonitoredBrowser) -> None:
    monitored_browser.expect_problem("never")

    with pytest.raises(AssertionError):
        monitored_browser.check_problems()
    monitored_browser.clear_problems()


def _page(html: str) -> web.Application:
    async def send_page(_: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html>{html}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", send_page)
    return app
