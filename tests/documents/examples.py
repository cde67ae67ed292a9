"""The examples, headings and links of a document, and the comparison of its two languages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
GUIDES = {"en": DOCS / "guide.md", "ar": DOCS / "guide.ar.md"}
ARABIC = re.compile("[\u0600-\u06ff]")

# The purpose of a block is a class (`json {.answer}`) or a title (`json title="POST /v1/messages"`).
_FENCE = re.compile(r'^```(\w+)(?: (?:\{\.(\w+)\}|title="([^"]+)"))?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
# Any fenced block, with a language or without.
_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_TRANSLATABLE = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|(?<!:)//[^\n]*')


@dataclass(frozen=True)
class Example:
    """A fenced block of a document.

    Attributes:
        language: The language of the block.
        purpose: The class or the title behind the language.
        text: The content.
        line: The number of its first line.
    """

    language: str
    purpose: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.language} {self.purpose}".strip()


def find_examples(text: str) -> list[Example]:
    """Return the fenced blocks that name a language."""
    return [
        Example(match[1], match[2] or match[3] or "", match[4], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


def find_blocks(text: str) -> list[Example]:
    """Return all fenced blocks, also those without a language, with their fences."""
    return [Example("code", "", match[0], text.count("\n", 0, match.start()) + 1) for match in _BLOCK.finditer(text)]


def remove_blocks(text: str) -> str:
    """Return the document without its fenced blocks."""
    return _BLOCK.sub("", text)


def find_differences(english: list[Example], arabic: list[Example]) -> Iterator[str]:
    """Yield each difference between the examples of two languages, except translated texts in quotes and comments."""
    if len(english) != len(arabic):
        yield f"{len(english)} examples, and {len(arabic)}"
    for left, right in zip(english, arabic, strict=False):
        if (left.language, left.purpose) != (right.language, right.purpose):
            yield f"{left} is not {right}"
        elif _TRANSLATABLE.sub("…", left.text) != _TRANSLATABLE.sub("…", right.text):
            yield f"{left}: differs from {right}"
        for original, translation in zip(
            _TRANSLATABLE.findall(left.text), _TRANSLATABLE.findall(right.text), strict=False
        ):
            if original != translation and not ARABIC.search(translation):
                yield f"{right}: {translation} is neither {original} nor Arabic"


def heading_levels(text: str) -> list[int]:
    """Return the levels of the document's headings, in order."""
    bare = remove_blocks(text)
    return [len(marks) for marks in re.findall(r"^(#+) ", bare, re.MULTILINE)]


def heading_anchors(text: str) -> set[str]:
    """Return the anchors of the document's headings, as GitHub makes them."""
    bare = remove_blocks(text)
    headings = re.findall(r"^#+ (.*)$", bare, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return anchors | set(re.findall(r'<a id="([^"]+)">', bare))


def find_links(text: str) -> list[str]:
    """Return the targets of the document's links to files or headings of this project."""
    return [link for link in re.findall(r"\]\(([^)]+)\)", remove_blocks(text)) if "://" not in link]


def find_broken_links(path: Path) -> list[str]:
    """Return the links of a document whose file or heading does not exist."""
    return [link for link in find_links(path.read_text()) if not _target_exists(path, link)]


def _target_exists(path: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (path.parent / file).resolve() if file else path
    return target.exists() and (not anchor or anchor in heading_anchors(target.read_text()))
