"""Read the database of a running gateway: its usage records, and the turns of its sessions."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.core.errors import error_code
from claude_gateway.storage.database import DATABASE_FILE_NAME
from claude_gateway.usage.record import CLIENT_DISCONNECTED, INTERNAL_ERROR
from tests.e2e.faults.load_clients import CONNECTION_BROKEN, Observation, RequestEnd
from workers.core.errors import ErrorKind

# The error code of a response is also the result of its usage record. A rejected request is not a job.
RESULTS_BY_CODE = {code: code for code in (*map(error_code, ErrorKind), INTERNAL_ERROR)}
# Results of a stream that breaks off.
INTERRUPTED_RESULTS = ("upstream_disconnected", "worker_exited", "protocol_error", "upstream_error")
REJECTED_CODES = ("queue_full", "concurrency_limit_exceeded")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A usage record.

    Attributes:
        request_id: The client's request id.
        result: "ok" or an error code.
        attempts: How often the gateway ran the job.
        tokens: Input tokens, those read from and written to the cache included, and output tokens.
    """

    request_id: str
    result: str
    attempts: int
    tokens: tuple[int, int]


@dataclass(frozen=True, slots=True)
class GatewayDatabase:
    """Read access to the database in a state directory."""

    state_dir: Path

    def usage_rows(self) -> list[UsageRow]:
        rows = self._query(
            "SELECT request_id, result, attempts, input + cache_read + cache_write, output FROM usage_records"
        )
        return [UsageRow(id_, result, attempts, (into, out)) for id_, result, attempts, into, out in rows]

    def session_turns(self, session_id: str) -> list[tuple[str, str]]:
        """Return role and text of each turn of a session."""
        rows = self._query(
            "SELECT content FROM session_turns JOIN sessions ON key = session WHERE id = ? ORDER BY number", session_id
        )
        turns = [json.loads(content) for (content,) in rows]
        return [(turn["role"], "".join(block.get("text", "") for block in turn["content"])) for turn in turns]

    def _query(self, sql: str, *parameters: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.state_dir / DATABASE_FILE_NAME}?mode=ro", uri=True)) as database:
            return database.execute(sql, parameters).fetchall()


def find_usage_problems(observations: Mapping[str, tuple[Observation, bool]], rows: Sequence[UsageRow]) -> list[str]:
    """Compare the usage records with the observations of the clients, by request id.

    Each observation comes with a flag that tells whether the request had a fault on purpose.
    """
    problems: list[str] = []
    unmatched = dict(observations)
    for record in rows:
        observation, is_faulty = unmatched.pop(record.request_id, (None, False))
        if observation is None:
            problem = "twice" if record.request_id in observations else "but no client sent that request"
            problems.append(f"{record.request_id} is in the usage records, {problem}")
        elif record.result not in (expected := _expected_results(observation, is_faulty=is_faulty)):
            problems.append(
                f"{record.request_id} is {record.result}, not {' or '.join(expected) or 'no job'}: {observation}"
            )
        elif observation.tokens is not None and record.attempts == 1 and record.tokens != observation.tokens:
            problems.append(
                f"{record.request_id} has {record.tokens} tokens, and its client received {observation.tokens}"
            )
    for observation, is_faulty in unmatched.values():
        if _expected_results(observation, is_faulty=is_faulty):
            problems.append(f"{observation.request_id} is not in the usage records: {observation}")
    return problems


def _expected_results(observation: Observation, *, is_faulty: bool) -> tuple[str, ...]:
    """Return the results that the usage record may have; empty if there must not be a record."""
    match observation.end:
        case RequestEnd.COMPLETE:
            return ("ok",)
        case RequestEnd.DISCONNECTED:
            # The job may have ended at the moment when the client disconnected.
            return (CLIENT_DISCONNECTED, "ok", *(RESULTS_BY_CODE.values() if is_faulty else ()))
        case RequestEnd.FAILED if observation.detail == CONNECTION_BROKEN.decode():
            return INTERRUPTED_RESULTS
        case RequestEnd.FAILED | RequestEnd.REJECTED if (
            observation.detail not in REJECTED_CODES and observation.detail in RESULTS_BY_CODE
        ):
            return (RESULTS_BY_CODE[observation.detail],)
    return ()
