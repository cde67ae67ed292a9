"""Tests for the administration section of the home page, which a key with the scope `admin` sees."""

import asyncio
from itertools import product
from typing import Any

import pytest
from playwright.async_api import expect

from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, ScriptedPool, ScriptedWorkerSource
from tests.pages.conftest import SCREENSHOTS, MonitoredBrowser, StartGateway
from tests.pages.test_home import DIRECTIONS, KEY, SIZES, THEMES, ask, find_serious_violations, use_key
from workers.core.login_limits import LimitReport, LimitStatus, LimitWindow
from workers.core.settings import AuthMethod
from workers.logins.login_state import LoginState
from workers.logins.monitor import LoginMonitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

VARIANTS = list(product(DIRECTIONS, THEMES, ("desktop", "phone")))
# 1 January 2100, 12:00 UTC.
RESETS_AT = 4_102_488_000.0


def script_limited_logins() -> ScriptedWorkerSource:
    """Return a source with two logins: a limit of the first one is reached, the second one has no limits."""
    account = LoginState("account", AuthMethod.CLI)
    windows = (
        LimitWindow("five_hour", LimitStatus.REJECTED, 1.0, RESETS_AT),
        LimitWindow("seven_day", LimitStatus.WARNING, 0.42, None),
    )
    account.add_report(LimitReport(is_rejected=True, windows=windows), "claude-test", 0.0)
    source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    source.logins = LoginMonitor([account, LoginState("key", AuthMethod.API_KEY)])
    return source


@pytest.mark.promise("admin.live")
async def test_shows_live_state_of_workers_and_sessions(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    counts = {"ready": 2}
    page = await monitored_browser.open_page(await start_gateway(None, ScriptedPool(counts=counts), api_key=KEY))
    await expect(page.locator("#admin")).to_be_hidden()

    await use_key(page)
    await expect(page.locator("#live-note")).to_have_text("Live")
    await expect(page.locator("#admin tr", has_text="ready")).to_have_count(2)
    counts["busy"] = counts.pop("ready")
    await expect(page.locator("#admin tr", has_text="replying")).to_have_count(2)
    headers = {"Authorization": f"Bearer {KEY}"}
    await page.request.post(f"{page.url}v1/chat/completions", data={**CHAT_BODY, "session_id": "mine"}, headers=headers)
    await expect(page.locator("#admin tr", has_text="KiB")).to_contain_text("environment")

    await page.click("#key-forget")
    await expect(page.locator("#admin")).to_be_hidden()


async def test_shows_limits_of_logins_in_time_zone_of_reader(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    url = await start_gateway(script_limited_logins(), api_key=KEY)
    page = await monitored_browser.open_page(url, locale="en", timezone_id="Asia/Riyadh")  # three hours ahead of UTC
    await use_key(page)

    card = page.locator("#admin .panel", has=page.get_by_role("heading", name="Logins"))
    rows = card.get_by_role("row")
    await expect(rows).to_have_count(4)
    await expect(rows.nth(1)).to_contain_text("Claude Code account")
    await expect(rows.nth(1).get_by_role("cell").nth(2)).to_contain_text("limited until Jan 1, 2100")
    await expect(rows.nth(1).get_by_role("cell").nth(2)).to_contain_text("3:00")
    await expect(rows.nth(1).get_by_role("cell").nth(3)).to_have_text("5 hours")
    await expect(rows.nth(1).get_by_role("cell").nth(4)).to_have_text("100%reached")
    await expect(rows.nth(1).locator("time").last).to_have_attribute("datetime", "2100-01-01T12:00:00.000Z")
    await expect(rows.nth(2).get_by_role("cell").nth(4)).to_have_text("42%almost reached")
    await expect(rows.nth(2).get_by_role("cell").nth(5)).to_have_text("–")
    await expect(rows.nth(3)).to_contain_text("availablenone reported")

    await page.click("#language")
    await expect(page.locator("#admin .panel tr", has_text="5 ساعات")).to_contain_text("بلغت الحد حتى")


async def test_binds_key_to_login(monitored_browser: MonitoredBrowser, start_gateway: StartGateway) -> None:
    page = await monitored_browser.open_page(await start_gateway(script_limited_logins(), api_key=KEY))
    await use_key(page)

    form = page.get_by_role("form", name="Create a key")
    await form.get_by_label("Name").fill("laptop")
    await form.get_by_label("Only login").select_option("account")
    await form.get_by_role("button", name="Create a key").click()
    await expect(page.locator("#admin tr", has_text="laptop").locator("code", has_text="account")).to_be_visible()
    await expect(form.get_by_label("Only login")).to_have_value("")


async def test_creates_key_shows_its_secret_once_and_revokes_it(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY))
    await use_key(page)

    form = page.get_by_role("form", name="Create a key")
    await form.get_by_label("Name").fill("<b>laptop</b>")
    await form.get_by_label("Dollars per day").fill("2.5")
    await form.get_by_label("Group").fill("family")
    await form.get_by_role("button", name="Create a key").click()
    secret = await page.locator(".new-key code").inner_text()
    row = page.locator("#admin tr", has_text="<b>laptop</b>")
    await expect(row).to_contain_text("active")
    await expect(row).to_contain_text("$2.5 per day")
    await expect(row.locator("code", has_text="family")).to_be_visible()

    client_page = await monitored_browser.open_page(page.url)
    await use_key(client_page, secret)
    await ask(client_page, "Hello?")
    await expect(client_page.locator(".reply-text")).to_have_text("Hello")
    await expect(client_page.locator("#admin")).to_be_hidden()  # the key may only chat

    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await row.get_by_role("button", name="Revoke").click()
    await expect(row).to_contain_text("revoked")
    monitored_browser.expect_problem("401")
    await ask(client_page, "Hello?")
    await expect(client_page.locator(".reply .note").last).to_contain_text("The gateway does not accept this key")
    await page.reload()
    await expect(page.locator("#admin tr", has_text="laptop")).to_be_visible()
    assert secret not in await page.content()


async def test_shows_when_a_spent_budget_resets(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    url = await start_gateway(api_key=KEY)
    client_page = await monitored_browser.open_page(url)
    body = {"name": "small", "budget": {"tokens_per_day": 1}}
    created = await client_page.request.post(
        f"{url}/v1/admin/keys", data=body, headers={"Authorization": f"Bearer {KEY}"}
    )
    await use_key(client_page, (await created.json())["key"])

    await ask(client_page, "Hello?")
    await expect(client_page.locator(".reply-text")).to_have_text("Hello")
    monitored_browser.expect_problem("429")
    await ask(client_page, "Hello?")
    await expect(client_page.locator(".reply .note").last).to_contain_text(
        "used its budget for today. You can continue after"
    )


async def test_shows_usage_by_day_and_by_key(monitored_browser: MonitoredBrowser, start_gateway: StartGateway) -> None:
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY))
    headers = {"Authorization": f"Bearer {KEY}"}
    for _ in range(2):
        await page.request.post(f"{page.url}v1/chat/completions", data=dict(CHAT_BODY), headers=headers)
    await use_key(page)

    usage = page.locator("#admin .usage")
    await expect(usage.locator("td")).to_have_text(["environment", "claude-test", "2", "6", "4", "$0.50"])
    await expect(usage.locator("rect")).to_have_count(3)  # only today has bars
    await expect(usage.get_by_role("img", name=": 10")).to_have_count(1)


async def test_connects_and_disconnects_mcp_server(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY))
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


@pytest.mark.parametrize(("language", "theme", "size"), VARIANTS)
async def test_is_usable_in_every_language_theme_and_size(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway, language: str, theme: Any, size: str
) -> None:
    pool = ScriptedPool(counts={"busy": 1, "ready": 2, "starting": 1})
    url = await start_gateway(script_limited_logins(), pool, api_key=KEY)
    page = await monitored_browser.open_page(
        url, viewport=SIZES[size], color_scheme=theme, locale=language, reduced_motion="reduce"
    )
    await use_key(page)
    await expect(page.locator("#admin .panel").first.locator("tbody tr")).to_have_count(4)
    await expect(page.locator("#admin form")).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await find_serious_violations(page) == []
    await page.locator("#admin").screenshot(path=SCREENSHOTS / f"administration-{language}-{theme}-{size}.png")
