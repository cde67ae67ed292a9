"""The guide in both languages: same examples, same sections, and no broken link."""

import json
import re
from pathlib import Path

import pytest

from claude_gateway.dialects.openai_chat.parameters import PARAMETERS
from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS as OPERATIONS
from tests.documents.examples import (
    ARABIC,
    GUIDES,
    Example,
    find_broken_links,
    find_differences,
    find_examples,
    heading_levels,
)

TEXTS = {language: path.read_text() for language, path in GUIDES.items()}


@pytest.mark.promise("guide.two-languages")
def test_both_languages_have_the_same_examples() -> None:
    assert list(find_differences(*(find_examples(text) for text in TEXTS.values()))) == []


def test_both_languages_have_the_same_sections_and_tables() -> None:
    english, arabic = TEXTS.values()

    assert heading_levels(english) == heading_levels(arabic)
    assert english.count("\n|") == arabic.count("\n|")
    headings = re.findall(r"^#+ (.*)$", arabic, re.MULTILINE)
    assert [heading for heading in headings if not ARABIC.search(heading)] == ["curl"]


@pytest.mark.parametrize("language", GUIDES)
def test_endpoint_table_lists_every_path(language: str) -> None:
    table = TEXTS[language].partition("<!-- endpoints -->")[2].partition("<!-- end of endpoints -->")[0]
    paths = {path for row in table.splitlines() for path in re.findall(r"`(/[^`]*)`", row)}

    assert {operation.path for operation in OPERATIONS} <= paths
    assert paths - {operation.path for operation in OPERATIONS} == {"/", "/docs", "/redoc", "/openapi.json"}


@pytest.mark.parametrize("language", GUIDES)
def test_compatibility_report_shows_the_reasons_of_the_code(language: str) -> None:
    (report,) = [
        json.loads(example.text)
        for example in find_examples(TEXTS[language])
        if example.purpose == "answer" and '"suggestions"' in example.text
    ]
    parameters = [parameter for group in report["parameters"].values() for parameter in group]

    assert parameters == [
        {"name": name, "reason": PARAMETERS[name][1]} for name in (parameter["name"] for parameter in parameters)
    ]
    assert parameters


@pytest.mark.parametrize("path", GUIDES.values(), ids=GUIDES.keys())
def test_every_link_has_an_existing_target(path: Path) -> None:
    assert find_broken_links(path) == []


@pytest.mark.parametrize("path", GUIDES.values(), ids=GUIDES.keys())
def test_every_example_is_of_a_kind_that_the_tests_run(path: Path) -> None:
    """tests/e2e/programs/test_guides.py runs these kinds of examples; a block of another kind would never be tested."""
    for example in find_examples(path.read_text()):
        kind = (example.language, example.purpose.partition(" ")[0])
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
    ("english", "arabic", "differs"),
    [
        ('ask("Hello!")  # please', 'ask("مرحبا!")  # من فضلك', False),
        ('ask("Hello!")', 'ask("Bonjour!")', True),
        ('ask("Hello!")', 'tell("مرحبا!")', True),
        ('get("http://a//b")', 'get("http://a//b")', False),
    ],
)
def test_finds_differences_that_are_not_translations(english: str, arabic: str, differs: bool) -> None:
    pair = ([Example("python", "", text, 1)] for text in (english, arabic))

    assert bool(list(find_differences(*pair))) == differs
