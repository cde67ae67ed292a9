"""The home page of a gateway without a key: it leads a newcomer to the first one."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from claude_gateway.access.keys import FIRST_KEY_COMMAND
from claude_gateway.access.register import Keys
from claude_gateway.access.wanted_key import WantedKey
from claude_gateway.stores.db import open_database
from claude_gateway.stores.keys import open_keys
from tests.pages.conftest import Site, Visits
from tests.pages.test_home import DIRECTIONS, SIZES, THEMES, ask, serious, use_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = list(product(DIRECTIONS, THEMES, SIZES))


async def test_a_newcomer_chats_makes_the_first_key_on_the_console_and_types_it(
    visits: Visits, site: Site, tmp_path: Path
) -> None:
    page = await visits.open(await site())
    await expect(page.locator("#first-command")).to_have_text(FIRST_KEY_COMMAND)
    await expect(page.locator("#admin")).to_be_hidden()
    await ask(page, "Hello?")
    await expect(page.locator(".words")).to_have_text("Hello")

    path = tmp_path / "gateway.db"
    async with open_database(path) as database, open_keys(database, path) as keys:
        _, secret = await Keys(keys).create(WantedKey(name="me", scopes=["chat", "admin"]))
    visits.expect("401")
    await ask(page, "Hello?")
    await expect(page.locator(".answer .note").last).to_contain_text("Type your API key")
    await use_key(page, secret)

    await expect(page.locator("#first-key")).to_be_hidden()
    await expect(page.locator("#admin")).to_be_visible()
    await page.reload()
    await expect(page.locator("#first-key")).to_be_hidden()


async def test_a_gateway_with_a_key_speaks_of_no_first_one(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key="a-key-of-the-tests"))

    await expect(page.locator("#key")).to_be_visible()
    await expect(page.locator("#first-key")).to_be_hidden()


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
async def test_the_way_to_the_first_key_is_readable_in_every_language_theme_and_size(
    visits: Visits, site: Site, language: str, theme: Any, size: str
) -> None:
    look = {"viewport": SIZES[size], "color_scheme": theme, "locale": language, "reduced_motion": "reduce"}
    page = await visits.open(await site(), **look)
    await expect(page.locator("#first-key")).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await serious(page) == []
    await visits.screenshot(page, f"first-key-{language}-{theme}-{size}")
