"""The home page, used as a person uses it."""

import asyncio
import re
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from claude_gateway.openapi.operations import OPERATIONS
from tests.claude_gateway.scripted import FINISHED, STARTED, ScriptedDispatcher, Step
from tests.pages.conftest import Site, Visits
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockEnded, BlockStarted, TextDelta
from workers.job import Text

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "a-key-of-the-tests"
SIZES = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 360, "height": 740},
    "narrow": {"width": 320, "height": 640},
}
THEMES = ("light", "dark")
DIRECTIONS = {"en": "ltr", "ar": "rtl"}
LOOKS = list(product(DIRECTIONS, THEMES, ("desktop", "phone")))
MARKDOWN = (
    "# A title\n\nHere is **bold**, `code` and https://example.com.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    "\n\n```python\nprint('hi')  # a comment\n```\n\nمرحبًا، هذا نص عربي."
)


def says(*texts: Step | str) -> Sequence[Step]:
    steps = [TextDelta(one) if isinstance(one, str) else one for one in texts]
    return (STARTED, BlockStarted(Text("")), *steps, BlockEnded(), FINISHED)


async def use_key(page: Page, key: str = KEY) -> None:
    await page.fill("#key", key)
    await page.press("#key", "Enter")
    await expect(page.locator("#key-note.good, #key-note.bad")).to_be_visible()


async def ask(page: Page, question: str) -> None:
    await page.fill("#question", question)
    await page.press("#question", "Enter")


async def serious(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using the page."""
    found = (await Axe().run(page)).response["violations"]
    return [
        f"{one['id']}: {[node['html'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.promise("pages.accessible")
@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
async def test_the_page_in_every_language_theme_and_size(
    visits: Visits, site: Site, language: str, theme: Any, size: str
) -> None:
    url = await site(ScriptedDispatcher.always(*says(MARKDOWN)), api_key=KEY)
    page = await visits.open(url, viewport=SIZES[size], color_scheme=theme, locale=language, reduced_motion="reduce")
    await use_key(page)
    await ask(page, "What can you do?")
    await expect(page.locator(".answer h3").last).to_be_visible()
    await page.locator("summary", has_text="/v1/auth/status").click()
    await page.locator(".operation[open] button[type=submit]").click()
    await expect(page.locator(".live")).to_contain_text('"valid": true')

    assert await page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == [
        language,
        DIRECTIONS[language],
    ]
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await serious(page) == []
    await page.evaluate("scrollTo(0, 0)")
    await visits.screenshot(page, f"home-{language}-{theme}-{size}")


async def test_nothing_sticks_out_of_the_narrowest_phone(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key=KEY), viewport=SIZES["narrow"])
    await expect(page.locator("#samples button")).to_have_count(5)
    await page.evaluate("document.querySelectorAll('.operation').forEach((one) => { one.open = true; })")

    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.promise("pages.chat-streams")
async def test_a_word_of_an_answer_is_seen_before_the_next_one_exists(visits: Visits, site: Site) -> None:
    more = asyncio.Event()
    page = await visits.open(await site(ScriptedDispatcher.always(*says("first ", more, "second")), api_key=KEY))
    await use_key(page)

    await ask(page, "Hello?")
    await expect(page.locator(".words")).to_have_text("first")
    await expect(page.locator("#log")).to_have_attribute("aria-busy", "true")
    more.set()
    await expect(page.locator(".words")).to_have_text("first second")
    await expect(page.locator("#log")).to_have_attribute("aria-busy", "false")


async def test_the_next_question_brings_the_conversation_along(visits: Visits, site: Site) -> None:
    dispatcher = ScriptedDispatcher.always(*says("An answer."))
    page = await visits.open(await site(dispatcher))

    for question in ("One?", "Two?"):
        await ask(page, question)
        await expect(page.locator("#send")).to_be_visible()
    turns = [(turn.role, turn.blocks) for turn in dispatcher.jobs[-1].turns]
    assert turns == [
        ("user", (Text("One?"),)),
        ("assistant", (Text("An answer."),)),
        ("user", (Text("Two?"),)),
    ]


async def test_stopping_an_answer_frees_its_worker_and_keeps_what_was_said(visits: Visits, site: Site) -> None:
    dispatcher = ScriptedDispatcher.always(*says("half ", asyncio.Event(), "never"))
    page = await visits.open(await site(dispatcher))

    await ask(page, "Hello?")
    await expect(page.locator(".words")).to_have_text("half")
    await page.click("#stop")
    await dispatcher.released.wait()
    await expect(page.locator(".answer .note")).to_have_text("Stopped.")
    await expect(page.locator(".words")).to_have_text("half")


@pytest.mark.promise("pages.never-markup")
async def test_nothing_that_a_model_says_becomes_markup(visits: Visits, site: Site) -> None:
    marks = "<img src=x onerror=alert(1)> **<b>bold</b>** [link](javascript:alert(1)) `<script>`"
    evil = f"{marks}\n\n```\n</code><img src=y>\n```"
    page = await visits.open(await site(ScriptedDispatcher.always(*says(evil))))

    await ask(page, "<img src=z>")
    await expect(page.locator("#send")).to_be_visible()
    assert await page.locator("#log :is(img, b, script, a)").count() == 0
    assert "<img src=x onerror=alert(1)>" in await page.inner_text(".words")
    assert await page.inner_text(".asked") == "<img src=z>"


@pytest.mark.promise("pages.wrong-key")
@pytest.mark.parametrize(("language", "words"), [("en", "This key is not accepted"), ("ar", "هذا المفتاح غير مقبول")])
async def test_a_wrong_key_is_told_in_clear_words(visits: Visits, site: Site, language: str, words: str) -> None:
    visits.expect("401")  # the browser's own line for it
    page = await visits.open(await site(api_key=KEY), locale=language)

    await use_key(page, "a wrong one")
    await expect(page.locator("#key-note")).to_contain_text(words)
    await ask(page, "Hello?")
    await expect(page.locator(".answer .note")).to_contain_text(words)
    await visits.screenshot(page, f"wrong-key-{language}")


async def test_without_a_key_nothing_is_asked_and_the_reader_is_led_to_it(visits: Visits, site: Site) -> None:
    dispatcher = ScriptedDispatcher.always(*says("never"))
    page = await visits.open(await site(dispatcher, api_key=KEY))

    await ask(page, "Hello?")
    await expect(page.locator("#chat-note")).to_have_text("Type your API key at the top of the page first.")
    await expect(page.locator("#key")).to_be_focused()
    assert dispatcher.jobs == []


async def test_the_key_is_of_this_tab_alone(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key=KEY))
    await use_key(page)

    assert KEY not in await page.evaluate("document.cookie + JSON.stringify(localStorage) + location.href")
    await page.reload()
    await expect(page.locator("#key-note.good")).to_be_visible()
    await page.click("#key-forget")
    assert await page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (WorkerError(ErrorKind.LOGIN, "x"), "Claude Code is not logged in"),
        (WorkerError(ErrorKind.QUEUE_FULL, "x", retry_after=7), "Every worker is busy. Try again in 7 seconds."),
        (WorkerError(ErrorKind.RATE_LIMITED, "x", retry_after=7), "Too many requests. Try again in 7 seconds."),
        (WorkerError(ErrorKind.TIMEOUT, "x"), "took too long"),
    ],
)
async def test_a_failure_is_told_in_words_and_the_question_comes_back(
    visits: Visits, site: Site, failure: WorkerError, words: str
) -> None:
    visits.expect("status of (503|429|504)")
    page = await visits.open(await site(ScriptedDispatcher.always(failure)))

    await ask(page, "Hello?")
    await expect(page.locator(".answer .note")).to_contain_text(words)
    await expect(page.locator("#question")).to_have_value("Hello?")


async def test_an_answer_that_breaks_off_says_so_and_keeps_what_came(visits: Visits, site: Site) -> None:
    visits.expect("ERR_INCOMPLETE_CHUNKED_ENCODING")
    breaking = asyncio.Event()
    broken = (STARTED, BlockStarted(Text("")), TextDelta("half"), breaking, WorkerError(ErrorKind.CUT, "x"))
    page = await visits.open(await site(ScriptedDispatcher.always(*broken)))

    await ask(page, "Hello?")
    await expect(page.locator(".words")).to_have_text("half")
    breaking.set()
    await expect(page.locator(".answer .note")).to_have_text("The answer broke off in the middle.")
    await expect(page.locator(".words")).to_have_text("half")


async def test_every_endpoint_is_there_and_can_be_tried(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key=KEY))
    await use_key(page)
    await expect(page.locator(".operation")).to_have_count(len(OPERATIONS))

    chat = page.locator(".operation", has=page.locator("summary", has_text="/v1/chat/completions"))
    await chat.locator("summary").click()
    await chat.locator("select").select_option("stream")
    await chat.get_by_role("button", name="Send").click()
    await expect(chat.locator(".code")).to_have_text("200 OK")
    await expect(chat.locator(".live pre")).to_contain_text("data: [DONE]")
    await chat.locator("textarea").fill("{")
    await chat.get_by_role("button", name="Send").click()
    await expect(chat.locator(".trial .note")).to_have_text("The request body is not valid JSON.")


async def test_names_in_a_path_may_hold_slashes(visits: Visits, site: Site) -> None:
    visits.expect("404")
    page = await visits.open(await site(api_key=KEY))
    await use_key(page)

    one = page.locator(".operation", has=page.locator("summary", has_text=re.compile(r"}One session$")))
    await one.locator("summary").click()
    await one.get_by_label("id").fill("a name/with both")
    async with page.expect_request("**/v1/sessions/a%20name/with%20both"):
        await one.get_by_role("button", name="Send").click()
    await expect(one.locator(".code")).to_have_text("404 Not Found")


async def test_language_and_theme_are_switched_in_place_and_remembered(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(), color_scheme="light", locale="en")
    await ask(page, "Hello?")
    await expect(page.locator(".words")).to_have_text("Hello")

    await page.click("#language")
    await page.click("#theme")
    await expect(page.locator("#start-title")).to_have_text("البداية السريعة")
    await expect(page.locator(".words")).to_have_text("Hello")  # the conversation is still there
    await expect(page.locator(".question h3")).to_have_text("أنت")
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")

    await page.reload()
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    await expect(page.locator("#start-title")).to_have_text("البداية السريعة")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


async def test_what_the_copy_button_copies_is_the_program_shown(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(api_key=KEY), permissions=["clipboard-read", "clipboard-write"])

    await page.click("#samples button >> nth=3")
    await page.click("[data-copy=sample]")
    await expect(page.locator("[data-copy=sample]")).to_have_text("Copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await page.locator("#sample").text_content()
    assert f'base_url="{page.url.rstrip("/")}"' in copied


async def test_everything_is_reached_and_done_with_the_keyboard(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(ScriptedDispatcher.always(*says("An answer.")), api_key=KEY))
    await expect(page.locator(".operation")).not_to_have_count(0)

    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await tab_to(page, "#key")
    await page.keyboard.type(KEY)
    await page.keyboard.press("Enter")
    await expect(page.locator("#key-note.good")).to_be_visible()

    await tab_to(page, "#samples button")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#samples button[aria-selected=true]")).to_have_text("Python")
    await expect(page.locator("#sample")).to_contain_text("from openai import OpenAI")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#samples button[aria-selected=true]")).to_be_focused()
    await expect(page.locator("#samples button[aria-selected=true]")).to_have_text("Gemini")

    await tab_to(page, "#question")
    await page.keyboard.type("Hello?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".words")).to_have_text("An answer.")

    await tab_to(page, ".operation summary")
    await page.keyboard.press("Enter")
    await expect(page.locator(".operation[open] button[type=submit]")).to_be_visible()
    await tab_to(page, ".operation[open] button[type=submit]")
    await page.keyboard.press("Space")
    await expect(page.locator(".operation[open] .code")).to_have_text("200 OK")


async def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until the focus, which must be seen, is on such an element."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        outline, there = await page.evaluate(
            """(selector) => {
                const focused = document.activeElement;
                return [getComputedStyle(focused).outlineStyle, focused.matches(selector)];
            }""",
            selector,
        )
        assert outline != "none"
        if there:
            return
    raise AssertionError(f"Tab does not lead to {selector}")


async def test_the_status_is_asked_for_sparingly_and_not_at_all_while_nobody_looks(visits: Visits, site: Site) -> None:
    page = await visits.open("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/health" in request.url else None)
    await page.clock.install()
    await page.goto(await site())
    await expect(page.locator("#status-time")).to_contain_text("Updated")

    for _ in range(6):
        async with page.expect_response("**/health/ready"):
            await page.clock.run_for(10_000)
    assert len(asked) == 7  # in a minute, of the 30 that an address has
    await page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.clock.fast_forward(600_000)
    assert len(asked) == 7
