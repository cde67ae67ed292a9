"""The examples of a document: its fenced blocks, and how two languages of one are held together."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"
GUIDES = {"en": DOCS / "guide.md", "ar": DOCS / "guide.ar.md"}
ARABIC = re.compile("[\u0600-\u06ff]")

_FENCE = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_WORDS = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|(?<!:)//[^\n]*')


@dataclass(frozen=True)
class Example:
    """`use` is what stands behind the language of a fence: what the block is for."""

    language: str
    use: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.language} {self.use}".strip()


def examples(text: str) -> list[Example]:
    return [
        Example(found[1], found[2] or "", found[3], text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def differences(one: list[Example], arabic: list[Example]) -> Iterator[str]:
    """Where the examples of two languages are not the same but for words: texts within quotes, and comments, that are
    Arabic in the one."""
    if len(one) != len(arabic):
        yield f"{len(one)} examples, and {len(arabic)}"
    for left, right in zip(one, arabic, strict=False):
        if (left.language, left.use) != (right.language, right.use):
            yield f"{left} is not {right}"
        elif _WORDS.sub("…", left.text) != _WORDS.sub("…", right.text):
            yield f"{left}: differs from {right}"
        for was, now in zip(_WORDS.findall(left.text), _WORDS.findall(right.text), strict=False):
            if was != now and not ARABIC.search(now):
                yield f"{right}: {now} is neither {was} nor Arabic"


def outline(text: str) -> list[int]:
    """The levels of its headings, in order."""
    bare = _FENCE.sub("", text)
    return [len(marks) for marks in re.findall(r"^(#+) ", bare, re.MULTILINE)]


def anchors(text: str) -> set[str]:
    """What its headings can be reached by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", _FENCE.sub("", text))
