"""What a gateway has written down, read from its database while it works: the ledger, and what sessions hold."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.errors import from_worker
from claude_gateway.stores.db import DATABASE
from tests.e2e.faults.callers import BROKEN_OFF, End, Sight
from workers.errors import ErrorKind, WorkerError

# What a caller is told by a code is a result of the ledger's; what is turned away at the door is no job.
RESULTS = {from_worker(WorkerError(kind, "")).code: kind.name.lower() for kind in ErrorKind} | {
    "internal_error": "internal"
}
# What a stream may end by that breaks off.
BREAKS = ("cut", "worker_died", "worker_confused", "upstream")
NO_JOBS = ("queue_full", "too_many_jobs")


@dataclass(frozen=True, slots=True)
class Line:
    """One of the ledger. `tokens` are those in, from the cache and into it too, and out."""

    request_id: str
    result: str
    attempts: int
    tokens: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Books:
    state_dir: Path

    def lines(self) -> list[Line]:
        rows = self._read("SELECT request_id, result, attempts, input + cache_read + cache_write, output FROM ledger")
        return [Line(id_, result, attempts, (into, out)) for id_, result, attempts, into, out in rows]

    def remembered(self, session: str) -> list[tuple[str, str]]:
        """Role and text of each turn."""
        rows = self._read(
            "SELECT content FROM session_turns JOIN sessions ON key = session WHERE id = ? ORDER BY number", session
        )
        turns = [json.loads(content) for (content,) in rows]
        return [(turn["role"], "".join(block.get("text", "") for block in turn["content"])) for turn in turns]

    def _read(self, sql: str, *parameters: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.state_dir / DATABASE}?mode=ro", uri=True)) as database:
            return database.execute(sql, parameters).fetchall()


def differences(sights: Mapping[str, tuple[Sight, bool]], lines: Sequence[Line]) -> list[str]:
    """In what the ledger is not what callers saw, by request id; the sights say of each whether something went wrong
    with it on purpose."""
    found: list[str] = []
    left = dict(sights)
    for line in lines:
        sight, faulty = left.pop(line.request_id, (None, False))
        if sight is None:
            why = "twice" if line.request_id in sights else "and nobody asked that"
            found.append(f"{line.request_id} is in the ledger, {why}")
        elif line.result not in (may := _may_be(sight, faulty=faulty)):
            found.append(f"{line.request_id} is {line.result}, not {' or '.join(may) or 'no job'}: {sight}")
        elif sight.tokens is not None and line.attempts == 1 and line.tokens != sight.tokens:
            found.append(f"{line.request_id} has {line.tokens} tokens, and its caller was told {sight.tokens}")
    for sight, faulty in left.values():
        if _may_be(sight, faulty=faulty):
            found.append(f"{sight.request_id} is not in the ledger: {sight}")
    return found


def _may_be(sight: Sight, *, faulty: bool) -> tuple[str, ...]:
    """The results that its line may have; none where there is to be no line."""
    match sight.end:
        case End.WHOLE:
            return ("ok",)
        case End.LEFT:
            # In the moment of his leaving it may have ended by itself.
            return ("left", "ok", *(RESULTS.values() if faulty else ()))
        case End.FAILED if sight.detail == BROKEN_OFF.decode():
            return BREAKS
        case End.FAILED | End.REFUSED if sight.detail not in NO_JOBS and sight.detail in RESULTS:
            return (RESULTS[sight.detail],)
    return ()
