"""The README in English and Arabic: short, with the same sections, examples and links in the same order."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.documents.examples import ARABIC, ROOT, find_broken_links, find_links, heading_levels

ENGLISH, ARABIC_README = ROOT / "README.md", ROOT / "README.ar.md"
READMES = pytest.mark.parametrize("path", [ENGLISH, ARABIC_README], ids=["en", "ar"])
MAX_README_BYTES = 8192
MAX_IMAGE_BYTES = 200_000
_CODE_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_MESSAGE = re.compile(r'"content": "[^"]*"')
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def split_sections(text: str) -> list[str]:
    """Return the parts of a document, each with the heading that begins it."""
    return re.split(r"^(?=#+ )", text, flags=re.MULTILINE)[1:]


def find_section_differences(english: str, arabic: str) -> Iterator[str]:
    """Yield a sentence for each section that has other examples, links or list items in Arabic."""
    for left, right in zip_longest(split_sections(english), split_sections(arabic), fillvalue=""):
        name = left.partition("\n")[0] or right.partition("\n")[0]
        if [_MESSAGE.sub("", block) for block in _CODE_BLOCK.findall(left)] != [
            _MESSAGE.sub("", block) for block in _CODE_BLOCK.findall(right)
        ]:
            yield f"{name}: other code blocks"
        if [_target(link) for link in find_links(left)] != [_target(link) for link in find_links(right)]:
            yield f"{name}: other links"
        if left.count("\n- ") != right.count("\n- "):
            yield f"{name}: another number of list items"


def _target(link: str) -> str:
    """Return the file of a link in its English version, without the heading."""
    file = link.partition("#")[0].replace(".ar.", ".")
    return "README.ar.md" if file in ("README.md", "README.ar.md") else file


@READMES
def test_readme_has_at_most_eight_kilobytes(path: Path) -> None:
    assert path.stat().st_size <= MAX_README_BYTES


def test_both_languages_have_the_same_sections_in_the_same_order() -> None:
    english, arabic = ENGLISH.read_text(), ARABIC_README.read_text()

    assert heading_levels(english) == heading_levels(arabic)
    assert list(find_section_differences(english, arabic)) == []


def test_headings_of_the_arabic_readme_are_arabic() -> None:
    title, *headings = _HEADING.findall(_CODE_BLOCK.sub("", ARABIC_README.read_text()))

    assert title == "claude-gateway"
    assert all(ARABIC.search(heading) for heading in headings)


@READMES
def test_every_link_has_an_existing_target(path: Path) -> None:
    assert find_broken_links(path) == []


def test_images_are_small() -> None:
    images = list((ROOT / "docs/images").iterdir())

    assert images
    assert all(image.stat().st_size < MAX_IMAGE_BYTES for image in images)


@pytest.mark.parametrize(
    ("arabic", "difference"),
    [
        ("## أ\n\n[نص](b.ar.md)\n", None),
        ("## أ\n\n[نص](c.ar.md)\n", "## A: other links"),
        ("## أ\n\n[نص](b.ar.md)\n\n```\nmake\n```\n", "## A: other code blocks"),
        ("## أ\n\n[نص](b.ar.md)\n\n- واحد\n", "## A: another number of list items"),
        ("## أ\n\n[نص](b.ar.md)\n\n## ب\n\n[نص](b.ar.md)\n", "## ب: other links"),
    ],
)
def test_finds_the_section_that_differs(arabic: str, difference: str | None) -> None:
    differences = list(find_section_differences("## A\n\n[text](b.md)\n", arabic))

    assert differences == ([difference] if difference else [])
