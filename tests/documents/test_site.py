"""The documentation site builds without a warning, in both languages, and loads nothing from another host."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.documents.examples import DOCS, ROOT

FOREIGN = re.compile(r"^(?:https?:)?//")
_CSS_ADDRESS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""")
_LOADED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


class LoadedAddresses(HTMLParser):
    """Collects the addresses that a browser loads by itself when it shows a page, without those of links to click."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if "src" in attributes:
            self.addresses.append(attributes["src"])
        if tag == "link" and _LOADED_LINKS & set(attributes.get("rel", "").split()):
            self.addresses.append(attributes.get("href", ""))
        if "style" in attributes:
            self.addresses.extend(_CSS_ADDRESS.findall(attributes["style"]))


def find_loaded_addresses(html: str) -> list[str]:
    parser = LoadedAddresses()
    parser.feed(html)
    return parser.addresses + _CSS_ADDRESS.findall(html)


def find_foreign_addresses(site: Path) -> Iterator[str]:
    for page in site.rglob("*.html"):
        yield from (
            f"{page}: {address}" for address in find_loaded_addresses(page.read_text()) if FOREIGN.match(address)
        )
    for sheet in site.rglob("*.css"):
        yield from (f"{sheet}: {address}" for address in _CSS_ADDRESS.findall(sheet.read_text()))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, where a warning is an error, and return its directory."""
    output_dir = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", output_dir],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    return output_dir


def test_every_document_is_a_page_in_both_languages(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    names = [page for page in pages if page.suffix != ".ar" and page.name != "index"]

    assert len(names) > 20
    assert [name for name in names if not (site / name / "index.html").is_file()] == []
    assert [name for name in names if not (site / "ar" / name / "index.html").is_file()] == []


def test_arabic_pages_are_written_from_right_to_left(site: Path) -> None:
    assert '<body dir="ltr"' in (site / "index.html").read_text()
    assert '<body dir="rtl"' in (site / "ar/index.html").read_text()
    assert '<html lang="ar"' in (site / "ar/guide/index.html").read_text()


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    assert list(find_foreign_addresses(site)) == []


def test_both_languages_can_be_searched(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text())

    assert index["config"]["lang"] == ["en", "ar"]
    titles = {document["title"] for document in index["docs"]}
    assert {"Rate limits", "حدود الطلبات"} <= titles


@pytest.mark.parametrize(
    ("html", "addresses"),
    [
        ('<script src="https://a.example/x.js"></script>', ["https://a.example/x.js"]),
        ('<link rel="stylesheet" href="//a.example/x.css">', ["//a.example/x.css"]),
        ("<style>@import 'https://a.example/x.css';</style>", ["https://a.example/x.css"]),
        ('<a href="https://a.example/">a link</a>', []),
        ('<link rel="alternate" href="https://a.example/">', []),
    ],
)
def test_distinguishes_a_loaded_address_from_a_link(html: str, addresses: list[str]) -> None:
    assert find_loaded_addresses(html) == addresses
