"""Tests that replies made to freeze the page take time and elements only in proportion to their length."""

import pytest

from tests.claude_gateway.scripted import ScriptedWorkerSource
from tests.pages.conftest import MonitoredBrowser, StartGateway
from tests.pages.test_home import ask, reply_steps

pytestmark = pytest.mark.asyncio(loop_scope="module")

_LENGTH = 200_000
_MAX_ELEMENTS = 5_100
# Rendering takes some tenths of a second; with quadratic time it took ten seconds to minutes.
_MAX_RENDER_MS = 5_000

PATTERNS = {
    "backticks": "`",
    "unclosed code": "`a\n\n",
    "code": "`a`",
    "brackets": "[",
    "unclosed labels": "[a",
    "unclosed links": "[a](",
    "unclosed URLs": "[a](http://](",
    "nested URLs": "[a](http://x[b](",
    "asterisks": "*",
    "unclosed asterisks": "*a",
    "bold and italic": "**a*b",
    "underscores": "__a",
    "nested quotes": "> ",
    "quotes": "> a\n",
    "nested lists": "- ",
    "lists": "- a\n",
    "indented lists": "  - a\n    - b\n      - c\n",
    "numbers": "1. a\n",
    "headings": "# a\n",
    "bars": "|",
    "rows": "|a|b|\n",
    "fences": "```\n",
    "blanks": " \t",
    "everything": "*[`_**](__",
}
CODE_PATTERNS = {
    "quotation marks": '"',
    "unterminated strings": '"\\',
    "apostrophes": "'a ",
    "quotation marks and escapes": "\"\\'",
    "comments": "#",
    "numbers": "1.",
    "keywords": "True ",
}
HOSTILE_TEXTS = {
    **{name: pattern * (_LENGTH // len(pattern)) for name, pattern in PATTERNS.items()},
    **{
        f"{name} in a code block": f"```python\n{pattern * (_LENGTH // len(pattern))}"
        for name, pattern in CODE_PATTERNS.items()
    },
    "one long table row": f"|{'a|' * (_LENGTH // 2)}\n",
    "spaces before the end of a line": f"-{' ' * _LENGTH}x\n|{' ' * _LENGTH}x",
}
# Renders a reply in the page; returns milliseconds, elements and characters.
_RENDER = """async ([text]) => {
    const address = document.querySelector("script[type=module]").src.replace("main.js", "markdown.js");
    const { renderer } = await import(address);
    const parent = document.createElement("div");
    document.body.append(parent);
    const startedAt = performance.now();
    renderer(parent)(text);
    parent.getBoundingClientRect();
    const duration = performance.now() - startedAt;
    const result = [duration, parent.querySelectorAll("*").length, parent.textContent.length];
    parent.remove();
    return result;
}"""


@pytest.mark.promise("pages.never-frozen")
async def test_render_time_grows_linearly_with_the_reply(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(await start_gateway())

    results = {name: await page.evaluate(_RENDER, [text]) for name, text in HOSTILE_TEXTS.items()}

    assert {name: duration for name, (duration, _, _) in results.items() if duration > _MAX_RENDER_MS} == {}
    assert {name: elements for name, (_, elements, _) in results.items() if elements > _MAX_ELEMENTS} == {}


async def test_text_beyond_the_limits_stays_readable(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(await start_gateway())
    words = [f"word{number}" for number in range(30_000)]

    for text in (" ".join(f"*{word}*" for word in words), "\n".join(f"- {word}" for word in words), "\n\n".join(words)):
        await page.evaluate("text => { globalThis.text = text }", text)
        rendered = await page.evaluate(
            """async () => {
                const address = document.querySelector("script[type=module]").src.replace("main.js", "markdown.js");
                const parent = document.createElement("div");
                (await import(address)).renderer(parent)(globalThis.text);
                return parent.textContent;
            }"""
        )
        assert [word for word in (words[0], words[15_000], words[-1]) if word not in rendered] == []


async def test_apostrophe_in_code_is_not_highlighted_as_a_string(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    page = await monitored_browser.open_page(
        await start_gateway(ScriptedWorkerSource.repeating(*reply_steps("```\nit isn't 12\n'a string'\n```")))
    )

    await ask(page, "Hello?")

    assert await page.locator(".reply-text code .t-string").all_inner_texts() == ["'a string'"]


async def test_page_stays_usable_while_a_hostile_reply_streams(
    monitored_browser: MonitoredBrowser, start_gateway: StartGateway
) -> None:
    pieces = ["[a](`*\n" * 2_000, "|" * 5_000, '```python\n"\\', '"\\' * 10_000, "\n```\n", "- > # a\n" * 5_000] * 5
    page = await monitored_browser.open_page(await start_gateway(ScriptedWorkerSource.repeating(*reply_steps(*pieces))))

    await ask(page, "Hello?")
    await page.click("#chat-new")

    assert await page.locator(".reply-text").count() == 0
