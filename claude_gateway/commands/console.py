"""Findings on a terminal."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from claude_gateway.doctor.findings import Finding, State, as_json

_MARKS = {
    State.OK: ("ok", "green"),
    State.WARNING: ("warning", "yellow"),
    State.FAILED: ("FAILED", "bold red"),
    State.SKIPPED: ("skipped", "dim"),
}


def show(findings: Sequence[Finding], *, json_only: bool, console: Console | None = None) -> None:
    """One line each, the remedy below what was found; or all of it as JSON."""
    console = console or Console(highlight=False)
    if json_only:
        console.file.write(json.dumps(as_json(findings), indent=2) + "\n")
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(max_width=max(24, console.width // 2))
    table.add_column(overflow="fold")
    for finding in findings:
        word, style = _MARKS[finding.state]
        seen = Text(_printable(finding.seen))
        if finding.remedy:
            seen.append(f"\n→ {finding.remedy}", style="bold")
        table.add_row(Text(word, style), Text(_printable(finding.subject)), seen)
    console.print(table)
    console.print(Text(_summary(findings), "bold"))


def _printable(text: str) -> str:
    """What a process or a stranger said never steers the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _summary(findings: Sequence[Finding]) -> str:
    counted = {state: sum(finding.state is state for finding in findings) for state in State}
    return ", ".join(f"{count} {state.value}" for state, count in counted.items() if count)
