"""The control room of the home page: what a key with the scope `admin` sees."""

import asyncio
from itertools import product
from typing import Any

import pytest
from playwright.async_api import expect

from tests.claude_gateway.scripted import CHAT, ScriptedPool
from tests.pages.conftest import SCREENSHOTS, Site, Visits
from tests.pages.test_home import DIRECTIONS, KEY, SIZES, THEMES, ask, serious, use_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = list(product(DIRECTIONS, THEMES, ("desktop", "phone")))


@pytest.mark.promise("admin.live")
async def test_it_follows_what_goes_on(visits: Visits, site: Site) -> None:
    counts = {"ready": 2}
    page = await visits.open(await site(None, ScriptedPool(counts=counts), api_key=KEY))
    await expect(page.locator("#admin")).to_be_hidden()

    await use_key(page)
    await expect(page.locator("#live-note")).to_have_text("Live")
    await expect(page.locator("#admin tr", has_text="ready")).to_have_count(2)
    counts["busy"] = counts.pop("ready")
    await expect(page.locator("#admin tr", has_text="answering")).to_have_count(2)
    headers = {"Authorization": f"Bearer {KEY}"}
    await page.request.post(f"{page.url}v1/chat/completions", data={**CHAT, "session_id": "mine"}, headers=headers)
    await expect(page.locator("#admin tr", has_text="KiB")).to_contain_text("environment")

    await page.click("#key-forget")
    await expect(page.locator("#admin")).to_be_hidden()


async def test_a_key_is_made_shown_once_used_and_revoked(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key=KEY))
    await use_key(page)

    form = page.get_by_role("form", name="Make a key")
    await form.get_by_label("Name").fill("<b>laptop</b>")
    await form.get_by_label("Dollars a day").fill("2.5")
    await form.get_by_role("button", name="Make a key").click()
    made = await page.locator(".new-key code").inner_text()
    row = page.locator("#admin tr", has_text="<b>laptop</b>")
    await expect(row).to_contain_text("active")
    await expect(row).to_contain_text("$2.5 a day")

    visitor = await visits.open(page.url)
    await use_key(visitor, made)
    await ask(visitor, "Hello?")
    await expect(visitor.locator(".words")).to_have_text("Hello")
    await expect(visitor.locator("#admin")).to_be_hidden()  # it may chat, and no more

    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await row.get_by_role("button", name="Revoke").click()
    await expect(row).to_contain_text("revoked")
    visits.expect("401")
    await ask(visitor, "Hello?")
    await expect(visitor.locator(".answer .note").last).to_contain_text("This key is not accepted")
    await page.reload()
    await expect(page.locator("#admin tr", has_text="laptop")).to_be_visible()
    assert made not in await page.content()


async def test_a_key_that_has_spent_its_budget_is_told_when_it_may_go_on(visits: Visits, site: Site) -> None:
    url = await site(api_key=KEY)
    visitor = await visits.open(url)
    wanted = {"name": "little", "budget": {"tokens_per_day": 1}}
    made = await visitor.request.post(f"{url}/v1/admin/keys", data=wanted, headers={"Authorization": f"Bearer {KEY}"})
    await use_key(visitor, (await made.json())["key"])

    await ask(visitor, "Hello?")
    await expect(visitor.locator(".words")).to_have_text("Hello")
    visits.expect("429")
    await ask(visitor, "Hello?")
    await expect(visitor.locator(".answer .note").last).to_contain_text("spent what it may today. It may go on from")


async def test_what_was_used_is_shown_by_day_and_by_key(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key=KEY))
    headers = {"Authorization": f"Bearer {KEY}"}
    for _ in range(2):
        await page.request.post(f"{page.url}v1/chat/completions", data=dict(CHAT), headers=headers)
    await use_key(page)

    usage = page.locator("#admin .usage")
    await expect(usage.locator("td")).to_have_text(["environment", "claude-test", "2", "6", "4", "$0.50"])
    await expect(usage.locator("rect")).to_have_count(3)  # of today alone
    await expect(usage.get_by_role("img", name=": 10")).to_have_count(1)


async def test_an_mcp_server_is_connected_and_let_go(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key=KEY))
    headers = {"Authorization": f"Bearer {KEY}"}
    server = {"name": "library", "command": "/opt/library"}
    await page.request.post(f"{page.url}v1/mcp/servers", data=server, headers=headers)
    await use_key(page)

    row = page.locator("#admin tr", has_text="library")
    await expect(row).to_contain_text("not connected")
    await row.get_by_role("button", name="Connect").click()
    await expect(row.locator("td").nth(2)).to_have_text("connected")
    await row.get_by_role("button", name="Disconnect").click()
    await expect(row).to_contain_text("not connected")


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
async def test_it_is_usable_in_every_language_theme_and_size(
    visits: Visits, site: Site, language: str, theme: Any, size: str
) -> None:
    pool = ScriptedPool(counts={"busy": 1, "ready": 2, "booting": 1})
    url = await site(None, pool, api_key=KEY)
    page = await visits.open(url, viewport=SIZES[size], color_scheme=theme, locale=language, reduced_motion="reduce")
    await use_key(page)
    await expect(page.locator("#admin .panel").first.locator("tbody tr")).to_have_count(4)
    await expect(page.locator("#admin form")).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await serious(page) == []
    await page.locator("#admin").screenshot(path=SCREENSHOTS / f"control-room-{language}-{theme}-{size}.png")
