"""Class that generates a part of a document. Two HTML comments in the document mark the start and end of this part."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GeneratedSection:
    """A part of a document whose text the program generates. One marker line comes before and one after this part.

    Attributes:
        name: The subject of the generated tables, such as "endpoints". The markers contain this name, and it is also
            the name of the command that generates the part.
        render: A function that generates and returns the text of the part.
    """

    name: str
    render: Callable[[], str]

    def write(self, path: Path | None) -> int:
        """Generate the text and write it between the markers in a file. Print the text if `path` is None.

        Returns:
            The exit status 0.

        Raises:
            ValueError: The file does not contain the markers.
        """
        if path is None:
            sys.stdout.write(self.render() + "\n")
        else:
            path.write_text(self._replace_section(path.read_text()))
        return 0

    def check(self, path: Path) -> int:
        """Return 0 if the text between the markers in a file is up to date, and 1 if it is not.

        Raises:
            ValueError: The file does not contain the markers.
        """
        text = path.read_text()
        if self._replace_section(text) == text:
            return 0
        sys.stderr.write(f"{path}: the table of {self.name} is out of date; run `make tables`\n")
        return 1

    def _replace_section(self, document: str) -> str:
        first, last = f"<!-- {self.name}: written by `make tables` -->", f"<!-- end of {self.name} -->"
        before, begin, rest = document.partition(first)
        _, end, after = rest.partition(last)
        if not begin or not end:
            raise ValueError(f"the markers {first} and {last} are missing")
        return f"{before}{begin}\n{self.render()}\n{end}{after}"
