"""The README in Arabic: shorter than the English one, and never other than it."""

import re
from pathlib import Path

from tests.documents.examples import ARABIC, anchors, links

ROOT = Path(__file__).parent.parent.parent
ENGLISH, BRIEF = (ROOT / name for name in ("README.md", "README.ar.md"))
_BLOCK = re.compile(r"^```(.*?)^```", re.DOTALL | re.MULTILINE)
_WORDS = re.compile(r'"content": "[^"]*"|#[^\n]*')


def blocks(path: Path) -> list[str]:
    """Its fenced blocks, without what is in words of a language."""
    return [_WORDS.sub("…", block) for block in _BLOCK.findall(path.read_text())]


def paths(path: Path) -> set[str]:
    rows = re.findall(r"^\| (`[^|]*/[^|]*`) \|", path.read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(?:[A-Z]+ )?([^` ]*/[^`]*)`", row)}


def test_the_commands_and_programs_are_those_of_the_english_one_in_their_order() -> None:
    english = iter(blocks(ENGLISH))

    assert blocks(BRIEF)
    assert all(block in english for block in blocks(BRIEF))


def test_the_paths_are_those_of_the_english_one() -> None:
    assert len(paths(BRIEF)) > 20
    assert paths(BRIEF) == paths(ENGLISH)


def test_it_is_in_arabic_and_its_links_lead_somewhere() -> None:
    text = BRIEF.read_text()

    assert all(ARABIC.search(one) for one in re.findall(r"^## (.*)$", text, re.MULTILINE))
    for link in links(text):
        file, _, anchor = link.partition("#")
        assert (ROOT / file).is_file(), link
        assert not anchor or anchor in anchors((ROOT / file).read_text()), link
