"""Tests for Swagger UI and ReDoc in a browser."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.claude_gateway.scripted import FINISHED, STARTED, ScriptedWorkerSource
from tests.pages.conftest import MonitoredBrowser, StartGateway
from workers.core.events import BlockEnded, BlockStarted, TextDelta
from workers.core.job import Text

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "the key of the tests"
CHAT = "#operations-Chat-post_v1_chat_completions"


@pytest.mark.promise("docs.try-it-out")
async def test_swagger_ui_sends_a_chat_and_shows_its_stream_live(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    more = asyncio.Event()
    steps = (STARTED, BlockStarted(Text("")), TextDelta("Hel"), more, TextDelta("lo"), BlockEnded(), FINISHED)
    dispatcher = ScriptedWorkerSource.repeating(*steps)
    page = await monitored_browser.open_page(f"{await start_gateway(dispatcher, api_key=KEY)}/docs")
    await authorize(page, KEY)

    await try_out(page, "stream")
    await expect(page.locator("#stream-text")).to_contain_text('"content":"Hel"')
    await expect(page.locator(f"{CHAT} .live-responses-table")).to_have_count(0)
    more.set()
    await expect(page.locator("#stream-text")).to_contain_text("[DONE]")

    response = page.locator(f"{CHAT} .live-responses-table")
    await expect(response).to_contain_text('"content":"lo"')
    await monitored_browser.screenshot(page, "docs-stream")
    assert [job.turns[-1].blocks for job in dispatcher.jobs] == [(Text("Hello!"),)]


async def test_swagger_ui_shows_the_error_for_a_wrong_key(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    monitored_browser.expect_problem("status of 401")
    page = await monitored_browser.open_page(f"{await start_gateway(api_key=KEY)}/docs")
    await authorize(page, "a wrong key")

    await try_out(page, "chat")

    response = page.locator(f"{CHAT} .live-responses-table")
    await expect(response).to_contain_text("401")
    await expect(response).to_contain_text("Missing or invalid API key.")
    await monitored_browser.screenshot(page, "docs-wrong-key")


async def test_swagger_ui_lists_all_groups_and_key_schemes(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(f"{await start_gateway()}/docs")

    for group in ("Chat", "Sessions", "Tools", "Health"):
        await expect(page.locator(f"#operations-tag-{group}")).to_be_visible()
    await page.click(".auth-wrapper .authorize")
    dialog = page.locator(".dialog-ux")
    for scheme in ("bearer", "x-api-key", "x-goog-api-key"):
        await expect(dialog).to_contain_text(scheme)


@pytest.mark.promise("docs.no-foreign-host")
async def test_redoc_shows_operations_and_searches_them(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(f"{await start_gateway()}/redoc")

    await expect(page.locator("h1").first).to_contain_text("claude-gateway")
    await expect(page.locator("h2", has_text="OpenAI Chat Completions")).to_be_visible()
    await page.fill("input[placeholder^=Search]", "sessions")
    await expect(page.locator("[data-role='search:results']")).to_contain_text("session")
    await monitored_browser.screenshot(page, "redoc")


async def authorize(page: Page, key: str) -> None:
    await page.click(".auth-wrapper .authorize")
    form = page.locator(".auth-container").filter(has_text="http, Bearer")
    await form.locator("input").fill(key)
    await form.locator("button.authorize").click()
    await page.click(".btn-done")


async def try_out(page: Page, example: str) -> None:
    await page.click(f"{CHAT} .opblock-summary-control")
    await page.click(f"{CHAT} .try-out__btn")
    await page.select_option(f"{CHAT} .opblock-section-request-body .examples-select-element", example)
    await page.click(f"{CHAT} .execute")
