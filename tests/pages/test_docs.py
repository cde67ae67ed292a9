"""Swagger UI and ReDoc, as a person uses them."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.claude_gateway.scripted import FINISHED, STARTED, ScriptedDispatcher
from tests.pages.conftest import Site, Visits
from workers.events import BlockEnded, BlockStarted, TextDelta
from workers.job import Text

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "the key of the tests"
CHAT = "#operations-Chat-post_v1_chat_completions"


@pytest.mark.promise("docs.try-it-out")
async def test_a_chat_is_tried_out_and_its_stream_seen_as_it_comes(visits: Visits, site: Site) -> None:
    rest = asyncio.Event()
    steps = (STARTED, BlockStarted(Text("")), TextDelta("Hel"), rest, TextDelta("lo"), BlockEnded(), FINISHED)
    dispatcher = ScriptedDispatcher.always(*steps)
    page = await visits.open(f"{await site(dispatcher, api_key=KEY)}/docs")
    await authorize(page, KEY)

    await try_out(page, "stream")
    await expect(page.locator("#said")).to_contain_text('"content":"Hel"')
    await expect(page.locator(f"{CHAT} .live-responses-table")).to_have_count(0)
    rest.set()
    await expect(page.locator("#said")).to_contain_text("[DONE]")

    answer = page.locator(f"{CHAT} .live-responses-table")
    await expect(answer).to_contain_text('"content":"lo"')
    await visits.screenshot(page, "docs-stream")
    assert [job.turns[-1].blocks for job in dispatcher.jobs] == [(Text("Hello!"),)]


async def test_a_wrong_key_is_told_in_clear_words(visits: Visits, site: Site) -> None:
    visits.expect("status of 401")
    page = await visits.open(f"{await site(api_key=KEY)}/docs")
    await authorize(page, "a wrong key")

    await try_out(page, "chat")

    answer = page.locator(f"{CHAT} .live-responses-table")
    await expect(answer).to_contain_text("401")
    await expect(answer).to_contain_text("Missing or invalid API key.")
    await visits.screenshot(page, "docs-wrong-key")


async def test_every_group_and_every_way_to_send_a_key_is_there(visits: Visits, site: Site) -> None:
    page = await visits.open(f"{await site()}/docs")

    for group in ("Chat", "Sessions", "Tools", "Health"):
        await expect(page.locator(f"#operations-tag-{group}")).to_be_visible()
    await page.click(".auth-wrapper .authorize")
    dialog = page.locator(".dialog-ux")
    for scheme in ("bearer", "x-api-key", "x-goog-api-key"):
        await expect(dialog).to_contain_text(scheme)


@pytest.mark.promise("docs.no-foreign-host")
async def test_redoc_shows_every_operation_and_finds_one(visits: Visits, site: Site) -> None:
    page = await visits.open(f"{await site()}/redoc")

    await expect(page.locator("h1").first).to_contain_text("claude-gateway")
    await expect(page.locator("h2", has_text="OpenAI Chat Completions")).to_be_visible()
    await page.fill("input[placeholder^=Search]", "sessions")
    await expect(page.locator("[data-role='search:results']")).to_contain_text("session")
    await visits.screenshot(page, "redoc")


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
