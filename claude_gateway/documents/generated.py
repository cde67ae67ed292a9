"""A part of a document that this program writes: what stands between two marks."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Part:
    """`name` is what the part is a table of, `text` makes it."""

    name: str
    text: Callable[[], str]

    def write(self, path: Path | None) -> int:
        """Put the part between its marks in a file, or print it."""
        if path is None:
            sys.stdout.write(self.text() + "\n")
        else:
            path.write_text(self._replaced(path.read_text()))
        return 0

    def check(self, path: Path) -> int:
        """1 when the file's part is not the current one."""
        text = path.read_text()
        if self._replaced(text) == text:
            return 0
        sys.stderr.write(f"{path}: the table of {self.name} is out of date; run `make readme`\n")
        return 1

    def _replaced(self, text: str) -> str:
        first, last = f"<!-- {self.name}: written by `make readme` -->", f"<!-- end of {self.name} -->"
        before, begin, rest = text.partition(first)
        _, end, after = rest.partition(last)
        if not begin or not end:
            raise ValueError(f"no place for the table: the marks {first} and {last} are missing")
        return f"{before}{begin}\n{self.text()}\n{end}{after}"
