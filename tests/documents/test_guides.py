"""The guide in both its languages: the same examples, the same sections, no link that leads nowhere."""

import re
from pathlib import Path

import pytest

from claude_gateway.openapi.operations import OPERATIONS
from tests.documents.examples import ARABIC, GUIDES, Example, anchors, differences, examples, links, outline

TEXTS = {language: path.read_text() for language, path in GUIDES.items()}


@pytest.mark.promise("guide.two-languages")
def test_both_languages_have_the_same_examples() -> None:
    assert list(differences(*(examples(text) for text in TEXTS.values()))) == []


def test_both_languages_have_the_same_sections_and_tables() -> None:
    english, arabic = TEXTS.values()

    assert outline(english) == outline(arabic)
    assert english.count("\n|") == arabic.count("\n|")
    headings = re.findall(r"^#+ (.*)$", arabic, re.MULTILINE)
    assert [one for one in headings if not ARABIC.search(one)] == ["curl"]


@pytest.mark.parametrize("language", GUIDES)
def test_every_path_stands_in_the_table(language: str) -> None:
    table = TEXTS[language].partition("<!-- endpoints -->")[2].partition("<!-- end of endpoints -->")[0]
    told = {path for row in table.splitlines() for path in re.findall(r"`(/[^`]*)`", row)}

    assert {operation.path for operation in OPERATIONS} <= told
    assert told - {operation.path for operation in OPERATIONS} == {"/", "/docs", "/redoc", "/openapi.json"}


@pytest.mark.parametrize("path", GUIDES.values(), ids=GUIDES.keys())
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(path.read_text()):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("path", GUIDES.values(), ids=GUIDES.keys())
def test_every_example_is_of_a_kind_that_is_run(path: Path) -> None:
    """Nothing is fenced that the tests would not run: see tests/e2e/test_guides.py."""
    for example in examples(path.read_text()):
        kind = (example.language, example.use.partition(" ")[0])
        assert kind in {
            ("bash", ""),
            ("bash", "error"),
            ("python", ""),
            ("python", "service"),
            ("javascript", ""),
            ("javascript", "service"),
            ("json", "POST"),
            ("json", "answer"),
            ("text", "stream"),
        }, example


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ('ask("Hello!")  # please', 'ask("مرحبا!")  # من فضلك', False),
        ('ask("Hello!")', 'ask("Bonjour!")', True),
        ('ask("Hello!")', 'tell("مرحبا!")', True),
        ('get("http://a//b")', 'get("http://a//b")', False),
    ],
)
def test_a_difference_is_one_that_is_no_translation(one: str, other: str, differs: bool) -> None:
    pair = ([Example("python", "", text, 1)] for text in (one, other))

    assert bool(list(differences(*pair))) == differs
