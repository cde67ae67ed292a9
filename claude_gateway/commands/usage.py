"""`claude-gateway usage`: what each key has used, from the database of the gateway, which may be running or not."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from claude_gateway.commands.settings import command_settings
from claude_gateway.commands.state_directory import find_database, say_which
from claude_gateway.errors import ApiError
from claude_gateway.ledger.usage import GROUPINGS, Question, UsageRow, as_csv, read_question
from claude_gateway.start_failed import StartFailed
from claude_gateway.stores.db import StoreUnusable, open_database
from claude_gateway.stores.ledger import LedgerStore

_MOST_ROWS = 100_000
_COLUMNS = ("jobs", "ok", "tokens in", "out", "cache read", "write", "USD")


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    usage = verbs.add_parser("usage", help="what each key has used, and what it cost")
    usage.add_argument("--from", dest="since", metavar="DAY", help="the first day (UTC), as 2026-01-31")
    usage.add_argument("--to", dest="until", metavar="DAY", help="the last day; today where it is left out")
    usage.add_argument("--group-by", default="day,key", metavar="WORDS", help=f"any of {', '.join(GROUPINGS)}")
    usage.add_argument("--key", metavar="ID", help="of one key alone")
    usage.add_argument("--csv", action="store_true", help="as a file for a spreadsheet")
    usage.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    given = {"from": arguments.since, "to": arguments.until, "group_by": arguments.group_by}
    try:
        asked = read_question({name: value for name, value in given.items() if value}, arguments.key, time.time())
    except ApiError as error:
        raise StartFailed(error.message) from None
    database = find_database(command_settings().state_dir)
    rows = asyncio.run(_rows(database, asked))
    say_which(database)
    sys.stdout.write(as_csv(asked, rows) if arguments.csv else _table(asked, rows))
    return 0


async def _rows(path: Path, asked: Question) -> Sequence[UsageRow]:
    try:
        async with open_database(path) as database:
            return (await LedgerStore(database).usage(asked, _MOST_ROWS)).rows
    except StoreUnusable as error:
        raise StartFailed(str(error)) from None
    except ApiError as error:
        raise StartFailed(error.message) from None


def _table(asked: Question, rows: Sequence[UsageRow]) -> str:
    lines = [[*asked.group_by, *_COLUMNS]]
    for row in rows:
        used = row.counts
        tokens = (used.input_tokens, used.output_tokens, used.cache_read_tokens, used.cache_write_tokens)
        lines.append([*map(_printable, row.group), *map(str, (used.jobs, used.ok, *tokens)), f"{used.cost_usd:.4f}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    names = len(asked.group_by)
    return "".join(
        "  ".join(
            cell.ljust(width) if number < names else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def _printable(name: str) -> str:
    """What a caller called something never steers the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
