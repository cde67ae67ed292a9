"""An answer that is made to stop the page: it takes no more time than its length is worth, and no more elements."""

import pytest

from tests.claude_gateway.scripted import ScriptedDispatcher
from tests.pages.conftest import Site, Visits
from tests.pages.test_home import ask, says

pytestmark = pytest.mark.asyncio(loop_scope="module")

_LENGTH = 200_000
_MOST_ELEMENTS = 5_100
# Ten seconds to minutes, where the time grows with the square of the length; some tenths of a second now.
_MOST_MS = 5_000

PATTERNS = {
    "backticks": "`",
    "open marks of code": "`a\n\n",
    "marks of code": "`a`",
    "brackets": "[",
    "open labels": "[a",
    "open links": "[a](",
    "open addresses": "[a](http://](",
    "addresses in each other": "[a](http://x[b](",
    "asterisks": "*",
    "open asterisks": "*a",
    "bold and slanted": "**a*b",
    "underscores": "__a",
    "quotes in quotes": "> ",
    "quotes": "> a\n",
    "lists in lists": "- ",
    "lists": "- a\n",
    "deeper and deeper lists": "  - a\n    - b\n      - c\n",
    "numbers": "1. a\n",
    "headings": "# a\n",
    "bars": "|",
    "rows": "|a|b|\n",
    "fences": "```\n",
    "blanks": " \t",
    "everything": "*[`_**](__",
}
INSIDE_A_PROGRAM = {
    "marks of strings": '"',
    "strings without an end": '"\\',
    "apostrophes": "'a ",
    "both": "\"\\'",
    "comments": "#",
    "numbers": "1.",
    "words": "True ",
}
HOSTILE = {
    **{name: pattern * (_LENGTH // len(pattern)) for name, pattern in PATTERNS.items()},
    **{
        f"{name} in a program": f"```python\n{pattern * (_LENGTH // len(pattern))}"
        for name, pattern in INSIDE_A_PROGRAM.items()
    },
    "one row of cells": f"|{'a|' * (_LENGTH // 2)}\n",
    "a blank before the end": f"-{' ' * _LENGTH}x\n|{' ' * _LENGTH}x",
}
# In the page itself: milliseconds, elements and letters of what the answer becomes.
_RENDER = """async ([text]) => {
    const address = document.querySelector("script[type=module]").src.replace("main.js", "markdown.js");
    const { renderer } = await import(address);
    const parent = document.createElement("div");
    document.body.append(parent);
    const began = performance.now();
    renderer(parent)(text);
    parent.getBoundingClientRect();
    const took = performance.now() - began;
    const found = [took, parent.querySelectorAll("*").length, parent.textContent.length];
    parent.remove();
    return found;
}"""


@pytest.mark.promise("pages.never-frozen")
async def test_no_answer_takes_longer_than_its_length_is_worth(visits: Visits, site: Site) -> None:
    page = await visits.open(await site())

    found = {name: await page.evaluate(_RENDER, [text]) for name, text in HOSTILE.items()}

    assert {name: took for name, (took, _, _) in found.items() if took > _MOST_MS} == {}
    assert {name: elements for name, (_, elements, _) in found.items() if elements > _MOST_ELEMENTS} == {}


async def test_what_is_beyond_the_bounds_is_still_there_to_read(visits: Visits, site: Site) -> None:
    page = await visits.open(await site())
    words = [f"word{number}" for number in range(30_000)]

    for text in (" ".join(f"*{word}*" for word in words), "\n".join(f"- {word}" for word in words), "\n\n".join(words)):
        await page.evaluate("text => { globalThis.text = text }", text)
        shown = await page.evaluate(
            """async () => {
                const address = document.querySelector("script[type=module]").src.replace("main.js", "markdown.js");
                const parent = document.createElement("div");
                (await import(address)).renderer(parent)(globalThis.text);
                return parent.textContent;
            }"""
        )
        assert [word for word in (words[0], words[15_000], words[-1]) if word not in shown] == []


async def test_an_apostrophe_in_a_program_colours_nothing(visits: Visits, site: Site) -> None:
    page = await visits.open(await site(ScriptedDispatcher.always(*says("```\nit isn't 12\n'a string'\n```"))))

    await ask(page, "Hello?")

    assert await page.locator(".words code .t-string").all_inner_texts() == ["'a string'"]


async def test_the_page_can_be_used_while_a_hostile_answer_streams(visits: Visits, site: Site) -> None:
    pieces = ["[a](`*\n" * 2_000, "|" * 5_000, '```python\n"\\', '"\\' * 10_000, "\n```\n", "- > # a\n" * 5_000] * 5
    page = await visits.open(await site(ScriptedDispatcher.always(*says(*pieces))))

    await ask(page, "Hello?")
    await page.click("#chat-new")

    assert await page.locator(".words").count() == 0
