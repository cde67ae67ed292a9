"""A damaged row affects no other row: the gateway skips it, and the log and the doctor name it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from claude_gateway.auth.key_store import KeyStore, open_key_store
from claude_gateway.auth.models import ApiKey, StoredKey
from claude_gateway.auth.signing_key import load_signing_key
from claude_gateway.builtin_tools.catalog import ToolChoices
from claude_gateway.builtin_tools.choice_store import ToolChoiceStore
from claude_gateway.builtin_tools.counter_store import ToolCountStore
from claude_gateway.builtin_tools.counters import ToolCounter, ToolCounters
from claude_gateway.doctor import checks
from claude_gateway.doctor.damaged_rows import find_damaged_rows
from claude_gateway.doctor.result import CheckStatus
from claude_gateway.mcp_servers.models import McpServer, StdioConfig
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.sessions.session import OpenSession, SessionLimits
from claude_gateway.sessions.session_store import SessionChange, SessionStore
from claude_gateway.sessions.thinking_cache import ThinkingCache
from claude_gateway.sessions.turn_codec import encode_turn
from claude_gateway.storage.backup import USAGE_LOG_SUFFIXES
from claude_gateway.storage.database import DATABASE_FILE_NAME, Database, open_database
from claude_gateway.stored_responses.response_store import ChainLink, ResponseLimits, ResponseStore, StoredResponse
from claude_gateway.stored_responses.service import ResponseService
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.usage.write_ahead_log import WriteAheadLog
from tests.claude_gateway.scripted import FINISHED, JOB, STARTED
from workers.core.events import BlockEnded, BlockStarted, EventBatch, TextDelta
from workers.core.job import Text, Turn

NOW = 1_000_000.0
LIMITS = ResponseLimits(ttl_seconds=100, max_responses=100, max_bytes=10**9)
ALLOWED: dict[str, Any] = {
    "scopes": ["chat"],
    "models": [],
    "requests_per_minute": {},
    "max_concurrent_jobs": None,
    "tokens_per_day": None,
    "usd_per_day": None,
}


@dataclass(frozen=True)
class StoredState:
    """A database with two rows of each kind, of which one will be damaged."""

    database: Database
    keys: KeyStore
    path: Path

    async def damage(self, table: str, column: str, value: object, condition: str) -> None:
        await self.database.execute(f"UPDATE {table} SET {column} = ? WHERE {condition}", (value,))

    async def assert_named(self, caplog: pytest.LogCaptureFixture, row_name: str) -> None:
        """Assert that the log and the doctor name the damaged row."""
        assert row_name in caplog.text
        damaged_rows = await asyncio.to_thread(find_damaged_rows, self.path)
        assert [row for row in damaged_rows.unreadable_rows if row_name in row], damaged_rows
        result = checks.evaluate_stored_rows(damaged_rows)
        assert result.status is CheckStatus.WARNING
        assert row_name in result.detail


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[StoredState]:
    path = tmp_path / DATABASE_FILE_NAME
    async with open_database(path) as database, open_key_store(database, path) as keys:
        for number in ("1", "2"):
            await keys.add(StoredKey(ApiKey(f"key-{number}", frozenset({"chat"}), "one"), b"d" * 32, NOW))
            server = McpServer(f"server-{number}", StdioConfig(("run",)))
            await McpServerStore(database).write_server("ann", server, 9, NOW)
            await McpServerStore(database).set_auto_connect("ann", server.name, True)
            await ToolChoiceStore(database).write("ann", f"s-{number}", ToolChoices(("Bash",)), NOW)
            await SessionStore(database).write(
                "ann", f"s-{number}", None, create_change("a", "b", "c", "d"), NOW, NOW + 99
            )
            counts = ToolCounters()
            counts.restore("ann", f"Tool{number}", ToolCounter(3))
            counts.unsaved.add(("ann", f"Tool{number}"))
            await ToolCountStore(database).write(counts)
        await add_chain(ResponseStore(database, LIMITS))
        yield StoredState(database, keys, path)


def user_text_turn(text: str) -> Turn:
    return Turn("assistant" if text in "bd" else "user", (Text(text),))


def create_change(*texts: str) -> SessionChange:
    return SessionChange("", 0, [encode_turn(user_text_turn(text)) for text in texts])


async def add_chain(store: ResponseStore) -> None:
    for number, (status, id_) in enumerate([("completed", "resp_1"), ("queued", "resp_2"), ("queued", "resp_3")]):
        stored = StoredResponse(id_, status, orjson.dumps({"id": id_, "output": [], "background": True}), b"[]")
        link = ChainLink((f"rule {id_}",), (user_text_turn("a"), user_text_turn("b")))
        await store.add("ann", stored, link, "resp_1" if number else None, [], NOW)


def get_texts(turns: tuple[Turn, ...]) -> str:
    return "".join(block.text for turn in turns for block in turn.blocks if isinstance(block, Text))


async def test_finds_no_damage_in_an_intact_database(state: StoredState) -> None:
    damaged_rows = await asyncio.to_thread(find_damaged_rows, state.path)

    assert (damaged_rows.unreadable_rows, damaged_rows.is_complete) == ((), True)
    assert checks.evaluate_stored_rows(damaged_rows).status is CheckStatus.OK


@pytest.mark.promise("state.damaged-row")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("allowed", b"nothing"),
        ("allowed", b"\xff\xfe"),
        ("allowed", "[]"),
        ("allowed", orjson.dumps({**ALLOWED, "scopes": "admin"})),
        ("allowed", orjson.dumps({**ALLOWED, "models": {"a": 1}})),
        ("allowed", orjson.dumps({**ALLOWED, "requests_per_minute": {"chat": "many"}})),
        ("allowed", orjson.dumps({**ALLOWED, "requests_per_minute": {"chat": -1}})),
        ("allowed", orjson.dumps({**ALLOWED, "max_concurrent_jobs": 1e308})),
        ("allowed", orjson.dumps({**ALLOWED, "usd_per_day": "all"})),
        ("allowed", orjson.dumps({**ALLOWED, "group": 5})),
        ("allowed", orjson.dumps({**ALLOWED, "login": 5})),
        ("allowed", orjson.dumps({**ALLOWED, "login": "two words"})),
        ("allowed", orjson.dumps({**ALLOWED, "group": "two words"})),
        ("allowed", orjson.dumps({"scopes": ["chat"]})),
        ("digest", b""),
        ("digest", "d" * 32),
        ("name", b"\xff"),
        ("created_at", "long ago"),
        ("expires_at", "never"),
        ("expires_at", 1e308),
    ],
)
async def test_damaged_key_is_rejected_and_the_others_work(
    state: StoredState, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    await state.damage("keys", column, value, "id = 'key-1'")

    had_keys, stored_keys = await state.keys.load_active_keys()

    assert (had_keys, [stored.key.id for stored in stored_keys]) == (True, ["key-2"])
    assert [stored.key.id for stored in await state.keys.list_keys()] == ["key-2"]
    await state.assert_named(caplog, "the key 'key-1'")


async def test_damaged_key_can_be_revoked_but_not_changed(state: StoredState) -> None:
    await state.damage("keys", "allowed", b"nothing", "id = 'key-1'")

    assert await state.keys.update("key-1", lambda key: key) is None
    assert await state.keys.replace_digest("key-1", b"e" * 32) is None
    assert await state.keys.revoke("key-1", NOW)


async def test_gateway_still_requires_a_key_if_every_key_is_damaged(state: StoredState) -> None:
    await state.damage("keys", "allowed", b"", "true")

    assert await state.keys.load_active_keys() == (True, [])


@pytest.mark.parametrize(
    "definition",
    [
        b"nothing",
        b"[]",
        b'"line"',
        b'{"line": "run", "env": {}, "description": "", "enabled": true}',
        b'{"line": ["run"], "env": {"A": 1}, "description": "", "enabled": true}',
        b'{"line": ["run"], "env": {}, "description": "", "enabled": 7}',
        b'{"url": "https://a", "headers": {}, "kind": "other", "description": "", "enabled": true}',
        b'{"url": null, "headers": {}, "kind": "http", "description": "", "enabled": true}',
    ],
)
async def test_damaged_mcp_server_is_skipped_and_the_others_connect(
    state: StoredState, definition: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await state.damage("mcp_servers", "definition", definition, "name = 'server-1'")
    store = McpServerStore(state.database)

    assert [server.name for server in await store.list_servers("ann")] == ["server-2"]
    assert [server.name for _, server in await store.list_auto_connected()] == ["server-2"]
    assert await store.find_server("ann", "server-1") is None
    await state.assert_named(caplog, "the MCP server 'server-1'")
    assert await store.delete_server("ann", "server-1")


async def create_events() -> AsyncIterator[EventBatch]:
    yield (STARTED, BlockStarted(Text("")), TextDelta("f"), BlockEnded(), FINISHED)


@pytest.mark.parametrize(
    "content",
    [
        b"nothing",
        b"\xff",
        b"[]",
        b'{"role": "system", "content": []}',
        b'{"role": "user", "content": [{"type": "text", "text": 7}]}',
        b'{"role": "user", "content": [{"type": "text"}]}',
        b'{"role": "user", "content": ["text"]}',
        b'{"role": "assistant", "content": [{"type": "tool_use", "id": 1, "name": "f", "input": []}]}',
        b'{"role": "user", "content": 7}',
    ],
)
async def test_session_continues_without_a_damaged_turn_and_is_intact_after_the_next_reply(
    state: StoredState, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await state.damage("session_turns", "content", content, "number = 1 AND session = 1")
    store = SessionStore(state.database)
    before = await store.read_snapshot("ann", "s-1", NOW)
    assert before is not None
    assert get_texts(before.history.turns) == "acd"
    await state.assert_named(caplog, "the turn 1 of the session 's-1'")

    limits = SessionLimits(99, 9, 10**6, 10**6)
    session = OpenSession(store, limits, lambda: NOW, "ann", "s-1", before, ThinkingCache())
    job = replace(JOB, key_id="ann", turns=(*session.history.turns, user_text_turn("e")))
    async for _ in session.persist_stream(job, create_events()):  # type: ignore[arg-type]
        pass

    after = await store.read_snapshot("ann", "s-1", NOW)
    assert after is not None
    assert get_texts(after.history.turns) == "acdef"
    assert (await asyncio.to_thread(find_damaged_rows, state.path)).unreadable_rows == ()
    other = await store.read_snapshot("ann", "s-2", NOW)
    assert other is not None
    assert get_texts(other.history.turns) == "abcd"


@pytest.mark.parametrize("column", ["created_at", "used_at", "turns"])
@pytest.mark.parametrize("value", ["nothing", 1e308, -1, b"\xff"])
async def test_damaged_session_is_omitted_from_lists(
    state: StoredState, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    await state.damage("sessions", column, value, "id = 's-1'")
    store = SessionStore(state.database)

    assert [info.id for info in await store.list_infos("ann", NOW, 9)] == ["s-2"]
    assert await store.get_info("ann", "s-1", NOW) is None
    assert (await store.get_totals("ann", NOW)).active_count == 2
    await store.list_key_totals(NOW, 9)
    await state.assert_named(caplog, "the session 's-1'")


async def test_invalid_utf8_does_not_fail_the_statement(state: StoredState) -> None:
    await state.database.execute("UPDATE sessions SET system = CAST(x'ff41' AS TEXT) WHERE id = 's-1'")

    snapshot = await SessionStore(state.database).read_snapshot("ann", "s-1", NOW)

    assert snapshot is not None
    assert snapshot.history.system == "\N{REPLACEMENT CHARACTER}A"
    assert not state.database.is_failing


async def test_damaged_tool_choices_and_counters_are_ignored(
    state: StoredState, caplog: pytest.LogCaptureFixture
) -> None:
    await state.damage("tool_choices", "allowed", b'"Bash"', "session = 's-1'")
    await state.damage("tool_counts", "calls", 1e308, "tool = 'Tool1'")
    choices, counts = ToolChoiceStore(state.database), ToolCounters()
    await ToolCountStore(state.database).load(counts)

    assert await choices.read("ann", "s-1") == ToolChoices(None, None)
    assert await choices.read("ann", "s-2") == ToolChoices(("Bash",), None)
    assert list(counts.counters_of("ann")) == ["Tool2"]
    await state.assert_named(caplog, "the count of the tool 'Tool1'")
    await state.assert_named(caplog, "the tool choices of the key 'ann'")


@pytest.mark.parametrize("value", [b"short", "text", 7])
async def test_damaged_signing_key_is_replaced(
    state: StoredState, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    await load_signing_key(state.database)
    await state.damage("signing_key", "key", value, "true")

    signing_key = await load_signing_key(state.database)

    assert len(signing_key) == 32
    assert await load_signing_key(state.database) == signing_key
    assert "the signing key" in caplog.text


@pytest.mark.parametrize("column", ["object", "items"])
@pytest.mark.parametrize("value", [b"nothing", b"7", "\xe9", 7])
async def test_damaged_response_is_reported_to_the_client_and_can_be_deleted(
    state: StoredState, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    await state.damage("responses", column, value, "id = 'resp_1'")
    responses = ResponseService(ResponseStore(state.database, LIMITS), b"signing key", lambda: NOW)
    for read, read_column in ((responses.get_response, "object"), (responses.list_input_items, "items")):
        if column == read_column:
            with pytest.raises(Exception, match="damaged"):
                await read("ann", "resp_1")
        else:
            await read("ann", "resp_1")
    assert (await responses.get_response("ann", "resp_2"))["id"] == "resp_2"
    await state.assert_named(caplog, "the response 'resp_1'")

    await responses.delete_response("ann", "resp_1")


@pytest.mark.parametrize(
    ("column", "value", "expected_texts"),
    [
        ("turns", encode_turn(user_text_turn("a")) + b"\nnothing\n" + encode_turn(user_text_turn("d")) + b"\n", "adab"),
        ("turns", b"\xff", "ab"),
        ("turns", 7, "ab"),
        ("system", b"nothing", "abab"),
        ("system", b"[7]", "abab"),
    ],
)
async def test_chain_continues_without_its_damaged_parts(
    state: StoredState, column: str, value: object, expected_texts: str, caplog: pytest.LogCaptureFixture
) -> None:
    await state.damage("responses", column, value, "id = 'resp_1'")

    chain = await ResponseStore(state.database, LIMITS).get_chain("ann", "resp_2", NOW)

    assert chain is not None
    assert get_texts(tuple(turn for link in chain[1] for turn in link.turns)) == expected_texts
    assert "the response 'resp_1'" in caplog.text


@pytest.mark.parametrize("value", [b"nothing", b"[]", 7])
async def test_damaged_unfinished_response_does_not_prevent_startup(state: StoredState, value: object) -> None:
    await state.damage("responses", "object", value, "id = 'resp_2'")
    responses = ResponseService(ResponseStore(state.database, LIMITS), b"signing key", lambda: NOW)

    await responses.fail_unfinished()

    assert (await responses.get_response("ann", "resp_3"))["status"] == "failed"
    assert await ResponseStore(state.database, LIMITS).list_unfinished() == []


VALID_ROW = [
    5,
    "ann",
    "r",
    1,
    "openai_chat",
    "/v1",
    "m",
    "m",
    0,
    0,
    1,
    NOW,
    1.0,
    2.0,
    3.0,
    4,
    5,
    0,
    0,
    0,
    0.5,
    "ok",
    "default",
]


def change_value(index: int, value: Any) -> list[Any]:
    return [*VALID_ROW[:index], value, *VALID_ROW[index + 1 :]]


@pytest.mark.parametrize(
    "line",
    [
        change_value(0, None),
        change_value(0, "5"),
        change_value(0, -5),
        change_value(0, 2**63 - 1),
        change_value(0, {}),
        change_value(1, None),
        change_value(7, ["m"]),
        change_value(11, "now"),
        change_value(11, 1e308),
        change_value(15, None),
        change_value(15, 1e308),
        change_value(16, -5),
        change_value(16, 2**63 - 1),
        change_value(20, "much"),
        change_value(21, None),
        VALID_ROW[:-2],
        "nothing",
        7,
        None,
    ],
)
async def test_damaged_line_of_the_write_ahead_log_affects_no_other_line(
    state: StoredState, line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    numbered_rows = [[1, change_value(0, 4)], [2, line], ["x", VALID_ROW], [3, change_value(0, 6)]]
    log_file = state.path.with_name(f"{DATABASE_FILE_NAME}{USAGE_LOG_SUFFIXES[0]}")
    lines = b"".join(orjson.dumps(row) + b"\n" for row in numbered_rows) + b'{"half\n' + b"[9, [9, "
    await asyncio.to_thread(log_file.write_bytes, lines)
    damaged_rows = await asyncio.to_thread(find_damaged_rows, state.path)
    assert len(damaged_rows.unreadable_rows) == 3, damaged_rows
    write_ahead_log = await asyncio.to_thread(WriteAheadLog, state.path)
    try:
        recorder = UsageRecorder(UsageStore(state.database, write_ahead_log), now=lambda: NOW + 5)
        async with recorder.run(400):
            assert recorder.get_spend_today("ann").tokens == 18
            await recorder.record_attempt(recorder.open(JOB))
            await recorder.flush()
    finally:
        write_ahead_log.close()

    assert [id_ for (id_,) in await state.database.execute("SELECT id FROM usage_records ORDER BY id")] == [4, 6, 7]
    assert "a line of the write-ahead log of usage records" in caplog.text


async def test_usage_record_with_impossible_values_does_not_prevent_startup(state: StoredState) -> None:
    store = UsageStore(state.database)
    columns = (
        "id, key_id, request_id, number, dialect, route, requested_model, model, session, tools, attempts, created_at, "
    )
    columns += (
        "queue_ms, first_token_ms, total_ms, input, output, cache_read, cache_write, thinking, cost_usd, result, "
    )
    columns += "login"
    placeholders = ", ".join("?" * len(VALID_ROW))
    for row in (
        VALID_ROW,
        [2**63 - 1, *change_value(15, 1e308)[1:20], float("inf"), "running", ""],
        change_value(0, 6),
    ):
        await state.database.execute(f"INSERT INTO usage_records ({columns}) VALUES ({placeholders})", row)
    recorder = UsageRecorder(store, now=lambda: NOW + 5)
    async with recorder.run(400):
        assert recorder.get_spend_today("ann").usd < 10**7
        record = recorder.open(JOB)
        await recorder.record_attempt(record)
        await recorder.flush()
        assert record.id == 7


@pytest.mark.parametrize("damage", ["DELETE FROM daily_sums_filled", "UPDATE daily_sums_filled SET next = 'x'"])
async def test_damaged_sums_are_computed_again(
    state: StoredState, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = UsageStore(state.database)
    await store._write([VALID_ROW])
    await state.database.execute(damage)
    await state.database.execute("UPDATE usage_days SET jobs = 9")
    with caplog.at_level(logging.WARNING):
        assert await store.fill_daily_sums() == 1

    assert await state.database.execute("SELECT key_id, jobs, output FROM usage_days") == [("ann", 1, 5)]
    assert "are computed again" in caplog.text


async def test_line_of_a_version_with_only_one_login_is_recovered(state: StoredState) -> None:
    log_file = state.path.with_name(f"{DATABASE_FILE_NAME}{USAGE_LOG_SUFFIXES[0]}")
    await asyncio.to_thread(log_file.write_bytes, orjson.dumps([1, VALID_ROW[:-1]]) + b"\n")
    write_ahead_log = await asyncio.to_thread(WriteAheadLog, state.path)
    try:
        async with UsageRecorder(UsageStore(state.database, write_ahead_log), now=lambda: NOW + 5).run(400):
            pass
    finally:
        write_ahead_log.close()
    assert await state.database.execute("SELECT id, result, login FROM usage_records") == [(5, "ok", "")]
