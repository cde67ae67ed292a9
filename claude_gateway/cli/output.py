"""Prints the results of checks, such as those of the command `doctor`, on a terminal."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from claude_gateway.cli.common import make_printable
from claude_gateway.doctor.result import CheckResult, CheckStatus, results_to_json

_STATUS_STYLES = {
    CheckStatus.OK: ("ok", "green"),
    CheckStatus.WARNING: ("warning", "yellow"),
    CheckStatus.FAILED: ("FAILED", "bold red"),
    CheckStatus.SKIPPED: ("skipped", "dim"),
}


def print_results(results: Sequence[CheckResult], *, json_only: bool, console: Console | None = None) -> None:
    """Print check results as JSON if `json_only` is true, and otherwise as a table with details and remedies."""
    console = console or Console(highlight=False)
    if json_only:
        console.file.write(json.dumps(results_to_json(results), indent=2) + "\n")
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(max_width=max(24, console.width // 2))
    table.add_column(overflow="fold")
    for result in results:
        status_word, style = _STATUS_STYLES[result.status]
        detail = Text(make_printable(result.detail))
        if result.remedy:
            detail.append(f"\n→ {result.remedy}", style="bold")
        table.add_row(Text(status_word, style), Text(make_printable(result.subject)), detail)
    console.print(table)
    console.print(Text(_summarize(results), "bold"))


def _summarize(results: Sequence[CheckResult]) -> str:
    counts = {status: sum(result.status is status for result in results) for status in CheckStatus}
    return ", ".join(f"{count} {status.value}" for status, count in counts.items() if count)
