"""Pages with a full Arabic translation have the same structure, code blocks and links in both languages."""

import re
from collections.abc import Iterator
from itertools import zip_longest

import pytest

from tests.documents.examples import (
    ARABIC,
    DOCS,
    find_blocks,
    find_broken_links,
    find_differences,
    find_links,
    remove_blocks,
)

PAGES = pytest.mark.parametrize(
    "page",
    ["api/parameters", "architecture", "operations/deploy", "operations/performance", "operations/usage"],
)
_STRUCTURE = re.compile(r"^ *(#+|[-*]|\d+\.) |^\|.*\|$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# A heading that is only code, and is the same in both languages.
_CODE_HEADING = re.compile(r"`[^`]+`$")


def find_page_differences(english: str, arabic: str) -> Iterator[str]:
    """Yield a sentence for each heading, list item, table row, code block and link that only one language has."""
    yield from find_differences(find_blocks(english), find_blocks(arabic))
    if [_target(link) for link in find_links(english)] != [_target(link) for link in find_links(arabic)]:
        yield "other links"
    for original, translation in zip_longest(read_structure(english), read_structure(arabic)):
        if original != translation:
            yield f"{original} is {translation} in Arabic"
            return


def read_structure(text: str) -> list[str]:
    """Return the markers of the headings and list items, and the number of cells of each table row, in their order."""
    return [match[1] or f"row of {match[0].count('|') - 1}" for match in _STRUCTURE.finditer(remove_blocks(text))]


def _target(link: str) -> str:
    """Return the file of a link in its English version, without the heading."""
    return link.partition("#")[0].replace(".ar.", ".")


@PAGES
def test_both_languages_have_the_same_structure(page: str) -> None:
    english, arabic = ((DOCS / f"{page}{suffix}").read_text() for suffix in (".md", ".ar.md"))

    assert list(find_page_differences(english, arabic)) == []


@PAGES
def test_headings_of_the_arabic_page_are_arabic(page: str) -> None:
    headings = _HEADING.findall(remove_blocks((DOCS / f"{page}.ar.md").read_text()))

    assert headings
    assert [heading for heading in headings if not ARABIC.search(heading) and not _CODE_HEADING.search(heading)] == []


@PAGES
@pytest.mark.parametrize("suffix", [".md", ".ar.md"])
def test_every_link_has_an_existing_target(page: str, suffix: str) -> None:
    assert find_broken_links(DOCS / f"{page}{suffix}") == []


@pytest.mark.parametrize(
    ("arabic", "difference"),
    [
        ("## أ\n\n- [نص](b.ar.md#c)\n\n| أ | ب |\n\n```\nmake  # نفّذه\n```\n", None),
        ("## أ\n\n- نص\n\n| أ | ب |\n\n```\nmake  # نفّذه\n```\n", "other links"),
        ("## أ\n\n1. [نص](b.md)\n\n| أ | ب |\n\n```\nmake  # نفّذه\n```\n", "- is 1. in Arabic"),
        ("## أ\n\n- [نص](b.md)\n\n| أ |\n\n```\nmake  # نفّذه\n```\n", "row of 2 is row of 1 in Arabic"),
        ("## أ\n\n- [نص](b.md)\n\n| أ | ب |\n\n```\nrm  # نفّذه\n```\n", "line 7: code: differs from line 7: code"),
        ("## أ\n\n- [نص](b.md)\n\n| أ | ب |\n\n```\nmake  # نفّذه\n```\n\n## ب\n", "None is ## in Arabic"),
    ],
)
def test_finds_a_difference(arabic: str, difference: str | None) -> None:
    english = "## A\n\n- [text](b.md)\n\n| a | b |\n\n```\nmake  # run it\n```\n"

    assert list(find_page_differences(english, arabic)) == ([difference] if difference else [])
