"""Apply the rules to files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.prose.rule import Exemption, Rule
from tests.prose.rules import EXEMPTIONS, RULES
from tests.prose.texts import ProseText, is_readable, read_texts

ROOT = Path(__file__).parent.parent.parent
CHECKED = ("bench", "claude_gateway", "deploy", "docs", "systemd", "tests", "workers")
# These files name the words that the rules refuse.
UNCHECKED = ("tests/prose",)
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "results"}


@dataclass(frozen=True)
class Hit:
    """A form in a file that a rule refuses.

    Attributes:
        path: The file, from the root of the project.
    """

    path: str
    line: int
    words: str
    rule: Rule

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words!r}: write {self.rule.suggestion}. {self.rule.reason}"


def find_hits(text: ProseText, rules: Iterable[Rule] = RULES) -> Iterator[tuple[int, str, Rule]]:
    """Yield the line, the words and the rule of every hit in a text."""
    for rule in rules:
        if text.kind in rule.kinds:
            for position, words in rule.find(text.content):
                yield text.line + text.content.count("\n", 0, position), words, rule


def check_file(path: Path, root: Path = ROOT) -> list[Hit]:
    """Return the hits in a file in the order of its lines."""
    name = path.relative_to(root).as_posix()
    hits = [Hit(name, line, words, rule) for text in read_texts(path) for line, words, rule in find_hits(text)]
    return sorted(hits, key=lambda hit: (hit.line, hit.words))


def find_files(names: Sequence[str] = (), root: Path = ROOT) -> list[Path]:
    """Return the files to check: all of the project, or those in the files and folders of these names."""
    if names:
        tops = [root / name for name in names]
    else:
        tops = [*(root / name for name in CHECKED), *(path for path in root.iterdir() if path.is_file())]
    files = {path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()}
    return sorted(path for path in files if is_readable(path) and _is_checked(path.relative_to(root)))


def drop_exempt(
    hits: Iterable[Hit], exemptions: Sequence[Exemption] = EXEMPTIONS, root: Path = ROOT
) -> tuple[list[Hit], list[Exemption]]:
    """Return the hits that no exemption accepts, and the exemptions that accepted a hit."""
    remaining: list[Hit] = []
    used: list[Exemption] = []
    for hit in hits:
        lines = (root / hit.path).read_text().split("\n") if any(entry.path == hit.path for entry in exemptions) else []
        matching = [entry for entry in exemptions if entry.path == hit.path and entry.words in lines[hit.line - 1]]
        used += matching
        if not matching:
            remaining.append(hit)
    return remaining, used


def _is_checked(path: Path) -> bool:
    is_skipped = SKIPPED_FOLDERS.intersection(path.parts)
    return not is_skipped and not any(path.is_relative_to(name) for name in UNCHECKED)
