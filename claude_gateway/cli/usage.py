"""The command `claude-gateway usage`, which prints the usage of API keys. It reads the database of the gateway."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from claude_gateway.cli.common import find_database, load_command_settings, make_printable, print_database_path
from claude_gateway.core.errors import ApiError, StartupError
from claude_gateway.storage.database import StorageUnavailable, open_database
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.report import GROUPINGS, UsageQuery, UsageRow, parse_usage_query, usage_to_csv

_MAX_ROWS = 100_000
_COLUMNS = ("jobs", "successful", "input tokens", "output", "cache read", "cache write", "USD")


def add_usage_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `usage`."""
    usage = subparsers.add_parser("usage", help="report the tokens and the cost that each key has used")
    usage.add_argument("--from", dest="since", metavar="DAY", help="first day (UTC), such as 2026-01-31")
    usage.add_argument("--to", dest="until", metavar="DAY", help="last day (UTC); default: today")
    usage.add_argument("--group-by", default="day,key", metavar="COLUMNS", help=f"any of {', '.join(GROUPINGS)}")
    usage.add_argument("--key", metavar="ID", help="report this key only")
    usage.add_argument("--csv", action="store_true", help="print CSV for a spreadsheet")
    usage.set_defaults(run=_run_usage)


def _run_usage(arguments: argparse.Namespace) -> int:
    options = {"from": arguments.since, "to": arguments.until, "group_by": arguments.group_by}
    options = {name: value for name, value in options.items() if value}
    try:
        query = parse_usage_query(options, arguments.key, time.time())
    except ApiError as error:
        raise StartupError(error.message) from None
    database = find_database(load_command_settings().state_dir)
    rows = asyncio.run(_read_rows(database, query))
    print_database_path(database)
    sys.stdout.write(usage_to_csv(query, rows) if arguments.csv else _format_table(query, rows))
    return 0


async def _read_rows(path: Path, query: UsageQuery) -> Sequence[UsageRow]:
    try:
        async with open_database(path) as database:
            return (await UsageStore(database).read_report(query, _MAX_ROWS)).rows
    except StorageUnavailable as error:
        raise StartupError(str(error)) from None
    except ApiError as error:
        raise StartupError(error.message) from None


def _format_table(query: UsageQuery, rows: Sequence[UsageRow]) -> str:
    lines = [[*query.group_by, *_COLUMNS]]
    for row in rows:
        sums = row.sums
        tokens = (sums.input_tokens, sums.output_tokens, sums.cache_read_tokens, sums.cache_write_tokens)
        lines.append(
            [
                *map(make_printable, row.group_values),
                *map(str, (sums.jobs, sums.successful_jobs, *tokens)),
                f"{sums.cost_usd:.4f}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    group_count = len(query.group_by)
    return "".join(
        "  ".join(
            cell.ljust(width) if column < group_count else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )
