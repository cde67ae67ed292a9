"""The table of clients as Markdown, and its place in the README."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.clients.cell import Cell
from tests.clients.visit import VERBS, Client

_BEGIN = "<!-- clients: written by `make clients` -->"
_END = "<!-- end of clients -->"

Results = Sequence[tuple[Client, str, Mapping[str, Cell]]]


def table(results: Results) -> str:
    """One row a client: its version, the dialect, a word for each verb."""
    rows = [f"| client | version | dialect | {' | '.join(VERBS)} |", f"|---|---|---|{'---|' * len(VERBS)}"]
    for client, version, cells in results:
        words = " | ".join(cells[verb].word for verb in VERBS)
        rows.append(f"| {client.name} | {version or '?'} | {client.dialect} | {words} |")
    return "\n".join(rows)


def write(path: Path, text: str) -> None:
    """Put the table between the marks of a file."""
    before, begin, rest = path.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"no place for the table: the marks {_BEGIN} and {_END} are missing in {path}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")
