"""Render the table of clients as Markdown, and write it between its markers in docs/clients.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.clients.client import SCENARIOS, Client
from tests.clients.scenario import ScenarioResult

_START_MARKER = "<!-- clients: written by `make clients` -->"
_END_MARKER = "<!-- end of clients -->"

Rows = Sequence[tuple[Client, str, Mapping[str, ScenarioResult]]]


def render_table(rows: Rows) -> str:
    """Return the table with a row for each client: version, dialect, and the result of each scenario."""
    lines = [f"| client | version | dialect | {' | '.join(SCENARIOS)} |", f"|---|---|---|{'---|' * len(SCENARIOS)}"]
    for client, version, results in rows:
        labels = " | ".join(results[scenario].label for scenario in SCENARIOS)
        lines.append(f"| {client.name} | {version or '?'} | {client.dialect} | {labels} |")
    return "\n".join(lines)


def write_table(path: Path, table: str) -> None:
    """Write the table between the markers of a file."""
    before, begin, rest = path.read_text().partition(_START_MARKER)
    _, end, after = rest.partition(_END_MARKER)
    if not begin or not end:
        raise ValueError(f"{path} lacks the markers {_START_MARKER} and {_END_MARKER} of the table")
    path.write_text(f"{before}{begin}\n{table}\n{end}{after}")
