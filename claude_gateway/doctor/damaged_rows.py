"""Finds database rows that the gateway cannot read. The scan writes nothing."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from claude_gateway.auth import key_store, signing_key
from claude_gateway.builtin_tools import choice_store, counter_store
from claude_gateway.mcp_servers.server_store import label_server, read_server
from claude_gateway.sessions import turn_codec
from claude_gateway.sessions.session_store import label_session, read_session_info
from claude_gateway.storage.backup import USAGE_LOG_SUFFIXES
from claude_gateway.storage.database import Row
from claude_gateway.storage.migrations import MIGRATIONS
from claude_gateway.storage.readers import decode_text
from claude_gateway.storage.row_reader import READ_ERRORS, require_bytes, require_texts, unreadable_reason
from claude_gateway.usage.record_store import check_record_row
from claude_gateway.usage.write_ahead_log import parse_log_line

_MAX_SECONDS = 60.0
_MAX_REPORTED_ROWS = 100


@dataclass(frozen=True, slots=True)
class DamageReport:
    """Result of a scan for unreadable database rows.

    Attributes:
        unreadable_rows: A text for each unreadable row, with the reason.
        is_complete: False if the scan stopped before the last row, or if an older version of the gateway created the
            database. Such a database has other tables and columns until the next start of the gateway migrates it.
    """

    unreadable_rows: tuple[str, ...]
    is_complete: bool = True


def find_damaged_rows(database: Path, now: Callable[[], float] = time.monotonic) -> DamageReport:
    """Find the unreadable rows in a database, and in the write-ahead log of usage records in the same directory.

    The function reads each row in the same way as the gateway.

    Raises:
        sqlite3.Error: The database cannot be read.
        OSError: A file cannot be read.
    """
    deadline = now() + _MAX_SECONDS
    unreadable_rows: list[str] = []
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        connection.text_factory = decode_text
        ((schema_version,),) = connection.execute("PRAGMA user_version")
        for read, label, row in _iterate_checks(connection, database):
            try:
                read(row)
            except READ_ERRORS as error:
                unreadable_rows.append(f"{label(row)}: {unreadable_reason(error)}")
            if now() > deadline or len(unreadable_rows) >= _MAX_REPORTED_ROWS:
                return DamageReport(tuple(unreadable_rows), is_complete=False)
    return DamageReport(tuple(unreadable_rows), is_complete=schema_version == len(MIGRATIONS))


_RowCheck = tuple[Callable[[Any], object], Callable[[Any], str], Any]


def _iterate_checks(connection: sqlite3.Connection, database: Path) -> Iterator[_RowCheck]:
    for sql, read, label in _TABLE_CHECKS:
        with suppress(sqlite3.OperationalError):  # a database of an older version lacks some tables and columns
            for row in connection.execute(sql):
                yield read, label, row
    for suffix in USAGE_LOG_SUFFIXES:
        with suppress(FileNotFoundError):
            for line in Path(f"{database}{suffix}").read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):  # a gateway that was killed may leave half of the last line
                    yield _read_log_line, (lambda _: "a line of the write-ahead log of usage records"), line


def _read_log_line(raw_line: bytes) -> None:
    _, row = parse_log_line(raw_line)
    check_record_row(row)


def _read_response(row: Row) -> None:
    _, object_, items, system, turns = row
    for stored, expected_type in ((object_, dict), (items, list)):
        if stored is not None and not isinstance(orjson.loads(stored), expected_type):
            raise TypeError(f"not a {expected_type.__name__}")
    require_texts(orjson.loads(require_bytes(system)))
    for line in require_bytes(turns).split(b"\n"):
        if line:
            turn_codec.decode_turn(line)


def _read_signing_key(row: Row) -> None:
    if not signing_key.is_valid_signing_key(row[0]):
        raise ValueError("not a valid signing key")


_TABLE_CHECKS: tuple[tuple[str, Callable[[Row], object], Callable[[Row], str]], ...] = (
    (f"SELECT {key_store.KEY_COLUMNS} FROM keys", key_store.read_key, key_store.label_key),  # noqa: S608
    ("SELECT key_id, name, definition FROM mcp_servers", read_server, label_server),
    (
        "SELECT allowed, disallowed, key_id FROM tool_choices",
        lambda row: choice_store.read_choices(row[:2]),
        lambda row: f"the tool choices of the key {row[2]!r:.80}",
    ),
    (
        "SELECT key_id, tool, calls, failed, denied, seconds FROM tool_counts",
        counter_store.read_tool_count,
        counter_store.label_tool_count,
    ),
    ("SELECT key FROM signing_key", _read_signing_key, lambda _: "the signing key"),
    (
        "SELECT id, created_at, used_at, expires_at, turns, key_id FROM sessions",
        lambda row: read_session_info(row[:5]),
        lambda row: label_session(row[5], row),
    ),
    (
        "SELECT content, number, id, key_id FROM session_turns JOIN sessions ON session = key",
        lambda row: turn_codec.decode_turn(row[0]),
        lambda row: f"the turn {row[1]} of the session {row[2]!r:.80} of the key {row[3]!r:.80}",
    ),
    (
        "SELECT id, object, items, system, turns FROM responses",
        _read_response,
        lambda row: f"the response {row[0]!r:.80}",
    ),
)
