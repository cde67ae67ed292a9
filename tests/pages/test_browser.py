"""That the browser of these tests sees what it is to see."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.pages.conftest import Site, Visits

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_page_is_seen(visits: Visits, site: Site) -> None:
    page = await visits.open(f"{await site()}/health")

    assert '"healthy"' in await page.inner_text("body")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("console.error('oh')", "console: oh"),
        ("throw new Error('oh')", "uncaught: .*oh"),
        ("img.src = 'https://example.com/x'", "another host: https://example.com/x"),
    ],
)
async def test_what_a_page_complains_of_fails_its_test(visits: Visits, script: str, complaint: str) -> None:
    async with TestServer(_page(f"<img id=img><script>{script}</script>")) as server:
        await visits.open(str(server.make_url("/")))  # until everything on it is there, or is not

    with pytest.raises(AssertionError):
        visits.check()
    visits.expect(complaint)
    if "img" in script:
        visits.expect("ERR_NAME_NOT_RESOLVED")


async def test_an_expected_complaint_that_does_not_come_fails_its_test(visits: Visits) -> None:
    visits.expect("never")

    with pytest.raises(AssertionError):
        visits.check()
    visits.forget()


def _page(html: str) -> web.Application:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html>{html}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    return app
