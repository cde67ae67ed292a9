"""Migration scripts keep the rows of databases that an older version of the gateway created."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.builtin_tools.catalog import ToolChoices
from claude_gateway.builtin_tools.choice_store import ToolChoiceStore
from claude_gateway.builtin_tools.counter_store import ToolCountStore
from claude_gateway.builtin_tools.counters import ToolCounter, ToolCounters
from claude_gateway.doctor.damaged_rows import find_damaged_rows
from claude_gateway.mcp_servers.models import McpServer, StdioConfig
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.sessions.session_store import SessionStore
from claude_gateway.storage.daily_sums import DAILY_SUM_TABLES
from claude_gateway.storage.database import DATABASE_FILE_NAME, Database, open_database
from claude_gateway.storage.migrations import MIGRATIONS
from claude_gateway.stored_responses.response_store import ResponseLimits, ResponseStore
from claude_gateway.usage.record_store import UsageStore

# The tenth script renames columns and indexes.
BEFORE_RENAMES = MIGRATIONS[:9]
OLD_NAMES = re.compile(r"\b(?:owner|wanted|begun_at|model_asked|responses_by_owner|responses_kept|responses_gone)\b")
NOW = 1_000_000.0
OLD_ROWS: dict[str, dict[str, Any]] = {
    "sessions": {"key": 7, "owner": "ann", "id": "s-1", "created_at": NOW, "used_at": NOW, "expires_at": NOW + 99},
    "session_turns": {
        "session": 7,
        "number": 0,
        "content": b'{"role": "user", "content": [{"type": "text", "text": "hi"}]}',
    },
    "responses": {
        "id": "resp_1",
        "owner": "ann",
        "created_at": NOW,
        "expires_at": NOW + 99,
        "status": "completed",
        "object": b"{}",
        "items": b"[]",
        "system": b"[]",
        "turns": b"",
    },
    "tool_choices": {"owner": "ann", "session": "", "allowed": b'["Bash"]', "disallowed": None, "changed_at": NOW},
    "mcp_servers": {
        "owner": "ann",
        "name": "files",
        "definition": b'{"description": "", "enabled": true, "line": ["run"], "env": {}}',
        "wanted": 1,
        "changed_at": NOW,
    },
    "usage_records": {
        "id": 1,
        "owner": "ann",
        "request_id": "req-1",
        "number": 1,
        "dialect": "gemini",
        "route": "/",
        "model_asked": "requested",
        "model": "used",
        **dict.fromkeys(("session", "tools", "attempts"), 1),
        "begun_at": NOW,
        **dict.fromkeys(("input", "output", "cache_read", "cache_write", "thinking"), 5),
        "cost_usd": 0.25,
        "result": "ok",
    },
    "tool_counts": {"owner": "ann", "tool": "Bash", "calls": 3, "failed": 2, "denied": 1, "seconds": 4.5},
}


async def create_old_database(path: Path) -> None:
    async with open_database(path, BEFORE_RENAMES) as database:
        for table, row in OLD_ROWS.items():
            await database.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            )


async def read_schema(database: Database) -> list[str]:
    return [str(row) for row in await database.execute("SELECT name, sql FROM sqlite_master")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / DATABASE_FILE_NAME


async def test_reads_rows_of_a_database_with_the_old_column_names(path: Path) -> None:
    await create_old_database(path)
    async with open_database(path) as database:
        session = await SessionStore(database).read_snapshot("ann", "s-1", NOW)
        assert session is not None
        assert (session.row_id, len(session.history.turns)) == (7, 1)
        response_store = ResponseStore(database, ResponseLimits(99, 9, 10**6))
        assert await response_store.exists("ann", "resp_1", NOW)
        assert not await response_store.exists("bob", "resp_1", NOW)
        assert await ToolChoiceStore(database).read("ann") == ToolChoices(("Bash",), None)
        assert await McpServerStore(database).list_auto_connected() == [
            ("ann", McpServer("files", StdioConfig(("run",))))
        ]
        assert await UsageStore(database).read_spend_since(NOW) == [("ann", 20, 0.25)]
        assert await database.execute("SELECT created_at, requested_model FROM usage_records") == [(NOW, "requested")]
        counters = ToolCounters()
        await ToolCountStore(database).load(counters)
        assert counters.counters_of("ann") == {"Bash": ToolCounter(3, 2, 1, 4.5)}


async def test_daily_sums_stay_right_after_the_renaming_of_columns(path: Path) -> None:
    await create_old_database(path)
    async with open_database(path) as database:
        await database.execute("UPDATE usage_records SET key_id = 'bob', output = 7")
        for table in DAILY_SUM_TABLES:
            assert await database.execute(f"SELECT jobs, output FROM {table} WHERE jobs > 0") == [(1, 7)]
        assert await database.execute("SELECT key_id FROM usage_days WHERE jobs > 0") == [("bob",)]
        await database.execute("DELETE FROM usage_records")
        for table in DAILY_SUM_TABLES:
            assert await database.execute(f"SELECT sum(jobs), sum(output) FROM {table}") == [(0, 0)]


async def test_no_table_index_or_trigger_has_an_old_name(path: Path) -> None:
    await create_old_database(path)
    async with open_database(path, BEFORE_RENAMES) as database:
        old_names = {name for sql in await read_schema(database) for name in OLD_NAMES.findall(sql)}
        assert len(old_names) == 7
    async with open_database(path) as database:
        schema = await read_schema(database)
        assert [sql for sql in schema if OLD_NAMES.search(sql)] == []
        assert len(schema) == len(set(schema))


async def test_doctor_reports_incomplete_scan_of_a_database_before_its_migration(path: Path) -> None:
    await create_old_database(path)
    damaged_rows = await asyncio.to_thread(find_damaged_rows, path)
    assert (damaged_rows.unreadable_rows, damaged_rows.is_complete) == ((), False)
    async with open_database(path):
        pass
    damaged_rows = await asyncio.to_thread(find_damaged_rows, path)
    assert (damaged_rows.unreadable_rows, damaged_rows.is_complete) == ((), True)
