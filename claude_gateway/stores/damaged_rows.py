"""Every row of a database, read as the gateway reads it: which of them cannot be. Nothing is written."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from claude_gateway.stores import keys, mcp_servers, seal_key, sessions, tool_choices, tool_counts, turns
from claude_gateway.stores.damage import UNREADABLE, bytes_of, complaint, texts
from claude_gateway.stores.db import Row
from claude_gateway.stores.ledger import read_line
from claude_gateway.stores.ledger_journal import ENDINGS, parse_line
from claude_gateway.stores.readers import read_text

_MAX_SECONDS = 60.0
_MAX_NAMED = 100


@dataclass(frozen=True, slots=True)
class Damage:
    """`rows`: what cannot be read, each with why. `is_complete` is False where there was no time for all."""

    rows: tuple[str, ...]
    is_complete: bool = True


def find_damage(database: Path, now: Callable[[], float] = time.monotonic) -> Damage:
    """Raises `sqlite3.Error` and `OSError`."""
    end = now() + _MAX_SECONDS
    found: list[str] = []
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as opened:
        opened.text_factory = read_text
        for read, name, row in _all(opened, database):
            try:
                read(row)
            except UNREADABLE as error:
                found.append(f"{name(row)}: {complaint(error)}")
            if now() > end or len(found) >= _MAX_NAMED:
                return Damage(tuple(found), is_complete=False)
    return Damage(tuple(found))


_Check = tuple[Callable[[Any], object], Callable[[Any], str], Any]


def _all(opened: sqlite3.Connection, database: Path) -> Iterator[_Check]:
    for sql, read, name in _CHECKS:
        with suppress(sqlite3.OperationalError):  # a table that an older version does not have
            for row in opened.execute(sql):
                yield read, name, row
    for ending in ENDINGS:
        with suppress(FileNotFoundError):
            for line in Path(f"{database}{ending}").read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):  # a gateway that was killed leaves half of the last one
                    yield (
                        _read_journal_line,
                        (lambda _: "a line of the ledger's journal"),
                        line,
                    )


def _read_journal_line(written: bytes) -> None:
    _, line = parse_line(written)
    read_line(line)


def _read_response(row: Row) -> None:
    _, object_, items, system, said = row
    for stored, kind in ((object_, dict), (items, list)):
        if stored is not None and not isinstance(orjson.loads(stored), kind):
            raise TypeError(f"no {kind.__name__} where one is stored")
    texts(orjson.loads(bytes_of(system)))
    for line in bytes_of(said).split(b"\n"):
        if line:
            turns.load(line)


def _read_seal(row: Row) -> None:
    if not seal_key.is_sound(row[0]):
        raise ValueError("it is no key")


_CHECKS: tuple[tuple[str, Callable[[Row], object], Callable[[Row], str]], ...] = (
    (f"SELECT {keys.COLUMNS} FROM keys", keys.read_key, keys.name_key),  # noqa: S608
    ("SELECT owner, name, definition FROM mcp_servers", mcp_servers.read_server, mcp_servers.name_server),
    (
        "SELECT allowed, disallowed, owner FROM tool_choices",
        lambda row: tool_choices.read_choices(row[:2]),
        lambda row: f"a choice of tools of the key {row[2]!r:.80}",
    ),
    (
        "SELECT owner, tool, calls, failed, denied, seconds FROM tool_counts",
        tool_counts.read_count,
        tool_counts.name_count,
    ),
    ("SELECT key FROM seal", _read_seal, lambda _: "the seal"),
    (
        "SELECT id, created_at, used_at, expires_at, turns, owner FROM sessions",
        lambda row: sessions.read_info(row[:5]),
        lambda row: sessions.name_session(row[5], row),
    ),
    (
        "SELECT content, number, id, owner FROM session_turns JOIN sessions ON session = key",
        lambda row: turns.load(row[0]),
        lambda row: f"the turn {row[1]} of the session {row[2]!r:.80} of the key {row[3]!r:.80}",
    ),
    (
        "SELECT id, object, items, system, turns FROM responses",
        _read_response,
        lambda row: f"the response {row[0]!r:.80}",
    ),
)
