"""Tests for the home page of a gateway without keys, which explains how to create the first one."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from claude_gateway.auth.key_service import KeyService
from claude_gateway.auth.key_store import open_key_store
from claude_gateway.auth.models import FIRST_KEY_COMMAND
from claude_gateway.auth.schemas import CreateKeyRequest
from claude_gateway.storage.database import open_database
from tests.pages.conftest import MonitoredBrowser, StartGateway
from tests.pages.test_home import DIRECTIONS, SIZES, THEMES, ask, find_serious_violations, use_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

VARIANTS = list(product(DIRECTIONS, THEMES, SIZES))


async def test_first_key_created_by_the_command_replaces_keyless_access(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway, tmp_path: Path
) -> None:
    page = await monitored_browser.open_page(await start_gateway())
    await expect(page.locator("#first-command")).to_have_text(FIRST_KEY_COMMAND)
    await expect(page.locator("#admin")).to_be_hidden()
    await ask(page, "Hello?")
    await expect(page.locator(".reply-text")).to_have_text("Hello")

    path = tmp_path / "gateway.db"
    async with open_database(path) as database, open_key_store(database, path) as keys:
        _, secret = await KeyService(keys).create_key(CreateKeyRequest(name="me", scopes=["chat", "admin"]))
    monitored_browser.expect_problem("401")
    await ask(page, "Hello?")
    await expect(page.locator(".reply .note").last).to_contain_text("Enter your API key")
    await use_key(page, secret)

    await expect(page.locator("#first-key")).to_be_hidden()
    await expect(page.locator("#admin")).to_be_visible()
    await page.reload()
    await expect(page.locator("#first-key")).to_be_hidden()


async def test_gateway_with_a_key_hides_the_first_key_section(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(await start_gateway(api_key="a-key-of-the-tests"))

    await expect(page.locator("#key")).to_be_visible()
    await expect(page.locator("#first-key")).to_be_hidden()


@pytest.mark.parametrize(("language", "theme", "size"), VARIANTS)
async def test_first_key_section_is_usable_in_every_language_theme_and_size(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway, language: str, theme: Any, size: str
) -> None:
    options = {"viewport": SIZES[size], "color_scheme": theme, "locale": language, "reduced_motion": "reduce"}
    page = await monitored_browser.open_page(await start_gateway(), **options)
    await expect(page.locator("#first-key")).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await find_serious_violations(page) == []
    await monitored_browser.screenshot(page, f"first-key-{language}-{theme}-{size}")
