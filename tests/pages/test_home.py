"""Tests for the home page in a browser."""

import asyncio
import re
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS as OPERATIONS
from tests.claude_gateway.scripted import FINISHED, STARTED, ScriptedWorkerSource, ScriptStep
from tests.pages.conftest import MonitoredBrowser, StartGateway
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import BlockEnded, BlockStarted, TextDelta
from workers.core.job import Text

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "a-key-of-the-tests"
SIZES = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 360, "height": 740},
    "narrow": {"width": 320, "height": 640},
}
THEMES = ("light", "dark")
DIRECTIONS = {"en": "ltr", "ar": "rtl"}
VARIANTS = list(product(DIRECTIONS, THEMES, ("desktop", "phone")))
MARKDOWN = (
    "# A title\n\nHere is **bold**, `code` and https://example.com.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    "\n\n```python\nprint('hi')  # a comment\n```\n\nمرحبًا، هذا نص عربي."
)


def reply_steps(*texts: ScriptStep | str) -> Sequence[ScriptStep]:
    """Return the steps of a worker that replies with these texts."""
    deltas = [TextDelta(step) if isinstance(step, str) else step for step in texts]
    return (STARTED, BlockStarted(Text("")), *deltas, BlockEnded(), FINISHED)


async def use_key(page: Page, key: str = KEY) -> None:
    await page.fill("#key", key)
    await page.press("#key", "Enter")
    await expect(page.locator("#key-note.good, #key-note.bad")).to_be_visible()


async def ask(page: Page, question: str) -> None:
    await page.fill("#question", question)
    await page.press("#question", "Enter")


async def find_serious_violations(page: Page) -> list[str]:
    """Return the serious and critical accessibility violations that axe finds."""
    violations = (await Axe().run(page)).response["violations"]
    return [
        f"{violation['id']}: {[node['html'] for node in violation['nodes']]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.promise("pages.accessible")
@pytest.mark.parametrize(("language", "theme", "size"), VARIANTS)
async def test_page_is_usable_in_every_language_theme_and_size(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway, language: str, theme: Any, size: str
) -> None:
    url = await start_gateway(ScriptedWorkerSource.repeating(*reply_steps(MARKDOWN)), api_key=KEY)
    page = await monitored_browser.open_page(
        url, viewport=SIZES[size], color_scheme=theme, locale=language, reduced_motion="reduce"
    )
    await use_key(page)
    await ask(page, "What can you do?")
    await expect(page.locator(".reply h3").last).to_be_visible()
    await page.locator("summary", has_text="/v1/auth/status").click()
    await page.locator(".operation[open] button[type=submit]").click()
    await expect(page.locator(".live")).to_contain_text('"valid": true')

    assert await page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == [
        language,
        DIRECTIONS[language],
    ]
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await find_serious_violations(page) == []
    await page.evaluate("scrollTo(0, 0)")
    await monitored_browser.screenshot(page, f"home-{language}-{theme}-{size}")


async def test_page_fits_the_narrowest_phone(monitored_browser: MonitoredBrowser, start_gateway: StartGateway) -> None:
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY), viewport=SIZES["narrow"])
    await expect(page.locator("#samples button")).to_have_count(5)
    await page.evaluate("document.querySelectorAll('.operation').forEach((details) => { details.open = true; })")

    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.promise("pages.chat-streams")
async def test_shows_each_word_of_a_reply_immediately(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    more = asyncio.Event()
    page = await monitored_browser.open_page(
        await start_gateway(ScriptedWorkerSource.repeating(*reply_steps("first ", more, "second")), api_key=KEY)
    )
    await use_key(page)

    await ask(page, "Hello?")
    await expect(page.locator(".reply-text")).to_have_text("first")
    await expect(page.locator("#log")).to_have_attribute("aria-busy", "true")
    more.set()
    await expect(page.locator(".reply-text")).to_have_text("first second")
    await expect(page.locator("#log")).to_have_attribute("aria-busy", "false")


async def test_next_question_sends_the_whole_conversation(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*reply_steps("A reply."))
    page = await monitored_browser.open_page(await start_gateway(dispatcher))

    for question in ("One?", "Two?"):
        await ask(page, question)
        await expect(page.locator("#send")).to_be_visible()
    turns = [(turn.role, turn.blocks) for turn in dispatcher.jobs[-1].turns]
    assert turns == [
        ("user", (Text("One?"),)),
        ("assistant", (Text("A reply."),)),
        ("user", (Text("Two?"),)),
    ]


async def test_stopping_a_reply_releases_the_worker_and_keeps_the_text(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*reply_steps("half ", asyncio.Event(), "never"))
    page = await monitored_browser.open_page(await start_gateway(dispatcher))

    await ask(page, "Hello?")
    await expect(page.locator(".reply-text")).to_have_text("half")
    await page.click("#stop")
    await dispatcher.worker_released.wait()
    await expect(page.locator(".reply .note")).to_have_text("Stopped.")
    await expect(page.locator(".reply-text")).to_have_text("half")


@pytest.mark.promise("pages.never-markup")
async def test_text_of_the_model_never_becomes_markup(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    markup = "<img src=x onerror=alert(1)> **<b>bold</b>** [link](javascript:alert(1)) `<script>`"
    hostile = f"{markup}\n\n```\n</code><img src=y>\n```"
    page = await monitored_browser.open_page(await start_gateway(ScriptedWorkerSource.repeating(*reply_steps(hostile))))

    await ask(page, "<img src=z>")
    await expect(page.locator("#send")).to_be_visible()
    assert await page.locator("#log :is(img, b, script, a)").count() == 0
    assert "<img src=x onerror=alert(1)>" in await page.inner_text(".reply-text")
    assert await page.inner_text(".question-text") == "<img src=z>"


@pytest.mark.promise("pages.wrong-key")
@pytest.mark.parametrize(
    ("language", "words"), [("en", "The gateway does not accept this key"), ("ar", "هذا المفتاح غير مقبول")]
)
async def test_shows_clear_error_for_a_wrong_key(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway, language: str, words: str
) -> None:
    monitored_browser.expect_problem("401")  # logged by the browser itself
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY), locale=language)

    await use_key(page, "a wrong key")
    await expect(page.locator("#key-note")).to_contain_text(words)
    await ask(page, "Hello?")
    await expect(page.locator(".reply .note")).to_contain_text(words)
    await monitored_browser.screenshot(page, f"wrong-key-{language}")


async def test_chat_without_a_key_sends_no_request_and_focuses_the_key_field(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*reply_steps("never"))
    page = await monitored_browser.open_page(await start_gateway(dispatcher, api_key=KEY))

    await ask(page, "Hello?")
    await expect(page.locator("#chat-note")).to_have_text("Enter your API key at the top of the page first.")
    await expect(page.locator("#key")).to_be_focused()
    assert dispatcher.jobs == []


async def test_key_is_stored_only_in_its_tab(monitored_browser: MonitoredBrowser, start_gateway: StartGateway) -> None:
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY))
    await use_key(page)

    assert KEY not in await page.evaluate("document.cookie + JSON.stringify(localStorage) + location.href")
    await page.reload()
    await expect(page.locator("#key-note.good")).to_be_visible()
    await page.click("#key-forget")
    assert await page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (WorkerError(ErrorKind.AUTHENTICATION, "x"), "Claude Code is not logged in"),
        (WorkerError(ErrorKind.QUEUE_FULL, "x", retry_after=7), "Every worker is busy. Try again in 7 seconds."),
        (WorkerError(ErrorKind.RATE_LIMITED, "x", retry_after=7), "Too many requests. Try again in 7 seconds."),
        (WorkerError(ErrorKind.TIMEOUT, "x"), "took too long"),
    ],
)
async def test_shows_error_of_a_failed_reply_and_restores_the_question(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway, failure: WorkerError, words: str
) -> None:
    monitored_browser.expect_problem("status of (503|429|504)")
    page = await monitored_browser.open_page(await start_gateway(ScriptedWorkerSource.repeating(failure)))

    await ask(page, "Hello?")
    await expect(page.locator(".reply .note")).to_contain_text(words)
    await expect(page.locator("#question")).to_have_value("Hello?")


async def test_interrupted_reply_shows_an_error_and_keeps_the_text(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    monitored_browser.expect_problem("ERR_INCOMPLETE_CHUNKED_ENCODING")
    interrupt = asyncio.Event()
    steps = (
        STARTED,
        BlockStarted(Text("")),
        TextDelta("half"),
        interrupt,
        WorkerError(ErrorKind.UPSTREAM_DISCONNECTED, "x"),
    )
    page = await monitored_browser.open_page(await start_gateway(ScriptedWorkerSource.repeating(*steps)))

    await ask(page, "Hello?")
    await expect(page.locator(".reply-text")).to_have_text("half")
    interrupt.set()
    await expect(page.locator(".reply .note")).to_have_text("The reply was interrupted.")
    await expect(page.locator(".reply-text")).to_have_text("half")


async def test_lists_every_endpoint_with_a_working_form(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY))
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


async def test_path_parameters_can_contain_slashes(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    monitored_browser.expect_problem("404")
    page = await monitored_browser.open_page(await start_gateway(api_key=KEY))
    await use_key(page)

    operation = page.locator(".operation", has=page.locator("summary", has_text=re.compile(r"}Get a session$")))
    await operation.locator("summary").click()
    await operation.get_by_label("id").fill("a name/with both")
    async with page.expect_request("**/v1/sessions/a%20name/with%20both"):
        await operation.get_by_role("button", name="Send").click()
    await expect(operation.locator(".code")).to_have_text("404 Not Found")


async def test_language_and_theme_switch_without_reload_and_are_remembered(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(await start_gateway(), color_scheme="light", locale="en")
    await ask(page, "Hello?")
    await expect(page.locator(".reply-text")).to_have_text("Hello")

    await page.click("#language")
    await page.click("#theme")
    await expect(page.locator("#start-title")).to_have_text("البداية السريعة")
    await expect(page.locator(".reply-text")).to_have_text("Hello")
    await expect(page.locator(".question h3")).to_have_text("أنت")
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")

    await page.reload()
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    await expect(page.locator("#start-title")).to_have_text("البداية السريعة")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


async def test_copy_button_copies_the_shown_program(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(
        await start_gateway(api_key=KEY), permissions=["clipboard-read", "clipboard-write"]
    )

    await page.click("#samples button >> nth=3")
    await page.click("[data-copy=sample]")
    await expect(page.locator("[data-copy=sample]")).to_have_text("Copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await page.locator("#sample").text_content()
    assert f'base_url="{page.url.rstrip("/")}"' in copied


async def test_page_is_usable_with_the_keyboard(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(
        await start_gateway(ScriptedWorkerSource.repeating(*reply_steps("A reply.")), api_key=KEY)
    )
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
    await expect(page.locator(".reply-text")).to_have_text("A reply.")

    await tab_to(page, ".operation summary")
    await page.keyboard.press("Enter")
    await expect(page.locator(".operation[open] button[type=submit]")).to_be_visible()
    await tab_to(page, ".operation[open] button[type=submit]")
    await page.keyboard.press("Space")
    await expect(page.locator(".operation[open] .code")).to_have_text("200 OK")


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element that matches the selector has the focus, which must be visible."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        outline, is_focused = await page.evaluate(
            """(selector) => {
                const focused = document.activeElement;
                return [getComputedStyle(focused).outlineStyle, focused.matches(selector)];
            }""",
            selector,
        )
        assert outline != "none"
        if is_focused:
            return
    raise AssertionError(f"Tab does not lead to {selector}")


async def test_polls_status_rarely_and_not_while_hidden(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page("about:blank")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/health" in request.url else None)
    await page.clock.install()
    await page.goto(await start_gateway())
    await expect(page.locator("#status-time")).to_contain_text("Updated")

    for _ in range(6):
        async with page.expect_response("**/health/ready"):
            await page.clock.run_for(10_000)
    assert len(requests) == 7  # per minute, below the limit of 30 per address
    await page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.clock.fast_forward(600_000)
    assert len(requests) == 7
