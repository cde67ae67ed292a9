"""`claude-gateway keys`: works on the database of the gateway, which may be running or not."""

import argparse
import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from claude_gateway.access.keys import StoredKey
from claude_gateway.access.register import Keys
from claude_gateway.access.wanted_key import WantedBudget, WantedKey, WantedLimits, described
from claude_gateway.commands.settings import command_settings
from claude_gateway.commands.state_directory import find_database, say_which
from claude_gateway.errors import ApiError
from claude_gateway.start_failed import StartFailed
from claude_gateway.stores.db import StoreUnusable, open_database
from claude_gateway.stores.keys import open_keys

Run = Callable[[argparse.Namespace], int]


def add_verbs(keys: argparse.ArgumentParser) -> None:
    verbs = keys.add_subparsers(required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--name", required=True, help="what people call it")
    create.add_argument("--scope", action="append", metavar="SCOPE", help="chat, tools, mcp or admin; again for more")
    create.add_argument("--model", action="append", metavar="MODEL", help="may ask for this one alone; again for more")
    create.add_argument("--expires-in-days", type=float, metavar="DAYS")
    create.add_argument("--per-minute", action="append", default=[], metavar="GROUP=N", help="such as chat=60")
    create.add_argument("--concurrent", type=int, metavar="N", help="jobs at once")
    create.add_argument("--tokens-per-day", type=int, metavar="N")
    create.add_argument("--usd-per-day", type=float, metavar="USD")
    create.set_defaults(run=_command(_create, makes_database=True))
    limit = verbs.add_parser("limit", help="other limits for a key, from its next request on")
    limit.add_argument("id", help="of the key, as `list` shows it")
    limit.add_argument("--per-minute", action="append", default=[], metavar="GROUP=N", help="such as chat=60")
    limit.add_argument("--concurrent", type=int, metavar="N", help="jobs at once")
    limit.set_defaults(run=_command(_limit))
    listing = verbs.add_parser("list", help="every key, with what it may do")
    listing.add_argument("--json", action="store_true", help="as JSON, one key a line")
    listing.set_defaults(run=_command(_list))
    for name, does, help_ in (
        ("revoke", _revoke, "it opens nothing any more, at once and for good"),
        ("rotate", _rotate, "print another secret for the same key; the old one opens nothing any more"),
    ):
        verb = verbs.add_parser(name, help=help_)
        verb.add_argument("id", help="of the key, as `list` shows it")
        verb.set_defaults(run=_command(does))


def _command(does: Callable[[Keys, argparse.Namespace], Awaitable[None]], *, makes_database: bool = False) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        path = find_database(command_settings().state_dir, must_be_there=not makes_database)
        asyncio.run(_on_the_keys(path, lambda keys: does(keys, arguments)))
        return 0

    return run


async def _on_the_keys(path: Path, does: Callable[[Keys], Awaitable[None]]) -> None:
    try:
        async with open_database(path) as database, open_keys(database, path) as store:
            await does(Keys(store))
    except StoreUnusable as error:
        raise StartFailed(str(error)) from None
    except ApiError as error:
        raise StartFailed(error.message) from None
    say_which(path)


async def _create(keys: Keys, arguments: argparse.Namespace) -> None:
    with _complaints():
        wanted = _wanted(arguments)
    _show_once(*await keys.create(wanted))


async def _limit(keys: Keys, arguments: argparse.Namespace) -> None:
    with _complaints():
        limits = WantedLimits(
            per_minute=dict(_per_minute(one) for one in arguments.per_minute), concurrent=arguments.concurrent
        )
    rates = (await keys.limit(arguments.id, limits)).key.rates
    own = [f"{group}={number}" for group, number in rates.per_minute.items()]
    print(f"{arguments.id}: a minute {', '.join(own) or 'as set for all'}; jobs at once {rates.concurrent or 'as set'}")


@contextmanager
def _complaints() -> Iterator[None]:
    """What cannot be is one line that names it."""
    try:
        yield
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False)
        raise StartFailed(f"{' '.join(map(str, first['loc']))}: {first['msg']}") from None


def _wanted(arguments: argparse.Namespace) -> WantedKey:
    return WantedKey(
        name=arguments.name,
        scopes=arguments.scope or ["chat"],
        models=arguments.model or [],
        expires_in_days=arguments.expires_in_days,
        per_minute=dict(_per_minute(one) for one in arguments.per_minute),
        concurrent=arguments.concurrent,
        budget=WantedBudget(tokens_per_day=arguments.tokens_per_day, usd_per_day=arguments.usd_per_day),
    )


def _per_minute(given: str) -> tuple[Any, Any]:
    group, _, number = given.partition("=")
    return group, int(number) if re.fullmatch(r"[0-9]{1,9}", number) else number


async def _rotate(keys: Keys, arguments: argparse.Namespace) -> None:
    _show_once(*await keys.rotate(arguments.id))


async def _revoke(keys: Keys, arguments: argparse.Namespace) -> None:
    await keys.revoke(arguments.id)
    print(f"revoked {arguments.id}")


async def _list(keys: Keys, arguments: argparse.Namespace) -> None:
    now = keys.now()
    stored = [described(one, now) for one in await keys.listed()]
    if arguments.json:
        for one in stored:
            print(orjson.dumps(one).decode())
        return
    for one in stored:
        until = _day(one["expires_at"]) if one["expires_at"] else "for good"
        print(f"{one['id']}  {one['status']:<8} {','.join(one['scopes']):<21} {until:<10}  {one['name']}")


def _show_once(stored: StoredKey, secret: str) -> None:
    """The key alone on stdout, for whoever puts it into a file."""
    print(secret, flush=True)
    scopes = ", ".join(sorted(stored.key.scopes))
    print(f"{stored.key.id}: {stored.key.name} ({scopes}). The key is not shown again.", file=sys.stderr)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
