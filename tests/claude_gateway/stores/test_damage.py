"""A row that is damaged costs itself alone: it is left out, named in the log and by the doctor."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from claude_gateway.access.keys import Key, StoredKey
from claude_gateway.doctor import verdicts
from claude_gateway.doctor.findings import State
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.mcp_servers.server import Program, Server
from claude_gateway.own_tools.built_in import ToolChoices
from claude_gateway.own_tools.counts import ToolCount, ToolCounts
from claude_gateway.responses.register import Responses
from claude_gateway.sessions.replies import Replies
from claude_gateway.sessions.session import OpenSession, SessionLimits
from claude_gateway.stores.damaged_rows import find_damage
from claude_gateway.stores.db import DATABASE, Database, open_database
from claude_gateway.stores.keys import KeyStore, open_keys
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.ledger_journal import ENDINGS, Journal
from claude_gateway.stores.mcp_servers import McpServerStore
from claude_gateway.stores.responses import Link, ResponseStore, Room, Stored
from claude_gateway.stores.seal_key import seal_key
from claude_gateway.stores.sessions import SessionStore, Writing
from claude_gateway.stores.tool_choices import ToolChoiceStore
from claude_gateway.stores.tool_counts import ToolCountStore
from claude_gateway.stores.turns import dump
from tests.claude_gateway.scripted import FINISHED, JOB, STARTED
from workers.events import BlockEnded, BlockStarted, Event, TextDelta
from workers.job import Text, Turn

NOW = 1_000_000.0
ROOM = Room(ttl=100, responses=100, bytes=10**9)
ALLOWED = {
    "scopes": ["chat"],
    "models": [],
    "per_minute": {},
    "concurrent": None,
    "tokens_per_day": None,
    "usd_per_day": None,
}


@dataclass(frozen=True)
class StoredState:
    """A database with some of everything, two of each kind: one will be damaged."""

    database: Database
    keys: KeyStore
    path: Path

    async def spoil(self, table: str, column: str, value: object, where: str) -> None:
        await self.database.run(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))

    async def named(self, caplog: pytest.LogCaptureFixture, what: str) -> None:
        """It is in the log, and the doctor names it too."""
        assert what in caplog.text
        found = await asyncio.to_thread(find_damage, self.path)
        assert [row for row in found.rows if what in row], found
        told = verdicts.stored_rows(found)
        assert told.state is State.WARNING
        assert what in told.seen


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[StoredState]:
    path = tmp_path / DATABASE
    async with open_database(path) as database, open_keys(database, path) as keys:
        for number in ("1", "2"):
            await keys.add(StoredKey(Key(f"key-{number}", frozenset({"chat"}), "one"), b"d" * 32, NOW))
            server = Server(f"server-{number}", Program(("run",)))
            await McpServerStore(database).write("ann", server, 9, NOW)
            await McpServerStore(database).want("ann", server.name, True)
            await ToolChoiceStore(database).write("ann", f"s-{number}", ToolChoices(("Bash",)), NOW)
            await SessionStore(database).write("ann", f"s-{number}", None, writing("a", "b", "c", "d"), NOW, NOW + 99)
            counts = ToolCounts()
            counts.put_back("ann", f"Tool{number}", ToolCount(3))
            counts.changed.add(("ann", f"Tool{number}"))
            await ToolCountStore(database).write(counts)
        await add_chain(ResponseStore(database, ROOM))
        yield StoredState(database, keys, path)


def turn(text: str) -> Turn:
    return Turn("assistant" if text in "bd" else "user", (Text(text),))


def writing(*texts: str) -> Writing:
    return Writing("", 0, [dump(turn(text)) for text in texts])


async def add_chain(store: ResponseStore) -> None:
    for number, (status, id_) in enumerate([("completed", "resp_1"), ("queued", "resp_2"), ("queued", "resp_3")]):
        stored = Stored(id_, status, orjson.dumps({"id": id_, "output": [], "background": True}), b"[]")
        link = Link((f"rule {id_}",), (turn("a"), turn("b")))
        await store.add("ann", stored, link, "resp_1" if number else None, [], NOW)


def texts(turns: tuple[Turn, ...]) -> str:
    return "".join(block.text for one in turns for block in one.blocks if isinstance(block, Text))


async def test_nothing_is_damaged_where_nothing_is(state: StoredState) -> None:
    found = await asyncio.to_thread(find_damage, state.path)

    assert (found.rows, found.is_complete) == ((), True)
    assert verdicts.stored_rows(found).state is State.OK


@pytest.mark.promise("state.damaged-row")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("allowed", b"nothing"),
        ("allowed", b"\xff\xfe"),
        ("allowed", "[]"),
        ("allowed", orjson.dumps({**ALLOWED, "scopes": "admin"})),
        ("allowed", orjson.dumps({**ALLOWED, "models": {"a": 1}})),
        ("allowed", orjson.dumps({**ALLOWED, "per_minute": {"chat": "many"}})),
        ("allowed", orjson.dumps({**ALLOWED, "per_minute": {"chat": -1}})),
        ("allowed", orjson.dumps({**ALLOWED, "concurrent": 1e308})),
        ("allowed", orjson.dumps({**ALLOWED, "usd_per_day": "all"})),
        ("allowed", orjson.dumps({"scopes": ["chat"]})),
        ("digest", b""),
        ("digest", "d" * 32),
        ("name", b"\xff"),
        ("created_at", "long ago"),
        ("expires_at", "never"),
        ("expires_at", 1e308),
    ],
)
async def test_a_damaged_key_opens_nothing_and_the_others_do(
    state: StoredState, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    await state.spoil("keys", column, value, "id = 'key-1'")

    there_was_one, held = await state.keys.held()

    assert (there_was_one, [stored.key.id for stored in held]) == (True, ["key-2"])
    assert [stored.key.id for stored in await state.keys.listed()] == ["key-2"]
    await state.named(caplog, "the key 'key-1'")


async def test_a_damaged_key_can_be_revoked_and_not_changed_otherwise(state: StoredState) -> None:
    await state.spoil("keys", "allowed", b"nothing", "id = 'key-1'")

    assert await state.keys.limit("key-1", {"chat": 5}, None) is None
    assert await state.keys.renew("key-1", b"e" * 32) is None
    assert await state.keys.revoke("key-1", NOW)


async def test_where_every_key_is_damaged_the_gateway_has_keys_all_the_same(state: StoredState) -> None:
    await state.spoil("keys", "allowed", b"", "true")

    assert await state.keys.held() == (True, [])


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
async def test_a_damaged_mcp_server_is_none_and_the_others_are_connected(
    state: StoredState, definition: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await state.spoil("mcp_servers", "definition", definition, "name = 'server-1'")
    store = McpServerStore(state.database)

    assert [server.name for server in await store.all_of("ann")] == ["server-2"]
    assert [server.name for _, server in await store.wanted()] == ["server-2"]
    assert await store.find("ann", "server-1") is None
    await state.named(caplog, "the MCP server 'server-1'")
    assert await store.delete("ann", "server-1")


async def events() -> AsyncIterator[Event]:
    for event in (STARTED, BlockStarted(Text("")), TextDelta("f"), BlockEnded(), FINISHED):
        yield event


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
async def test_a_session_goes_on_without_a_damaged_turn_and_is_whole_after_the_next_answer(
    state: StoredState, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await state.spoil("session_turns", "content", content, "number = 1 AND session = 1")
    store = SessionStore(state.database)
    before = await store.read("ann", "s-1", NOW)
    assert before is not None
    assert texts(before.remembered.turns) == "acd"
    await state.named(caplog, "the turn 1 of the session 's-1'")

    limits = SessionLimits(99, 9, 10**6, 10**6)
    session = OpenSession(store, limits, lambda: NOW, "ann", "s-1", before, Replies())
    job = replace(JOB, owner="ann", turns=(*session.remembered.turns, turn("e")))
    async for _ in session.record(job, events()):  # type: ignore[arg-type]
        pass

    after = await store.read("ann", "s-1", NOW)
    assert after is not None
    assert texts(after.remembered.turns) == "acdef"
    assert (await asyncio.to_thread(find_damage, state.path)).rows == ()
    other = await store.read("ann", "s-2", NOW)
    assert other is not None
    assert texts(other.remembered.turns) == "abcd"


@pytest.mark.parametrize("column", ["created_at", "used_at", "turns"])
@pytest.mark.parametrize("value", ["nothing", 1e308, -1, b"\xff"])
async def test_a_damaged_session_is_left_out_of_lists(
    state: StoredState, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    await state.spoil("sessions", column, value, "id = 's-1'")
    store = SessionStore(state.database)

    assert [info.id for info in await store.infos("ann", NOW, 9)] == ["s-2"]
    assert await store.info("ann", "s-1", NOW) is None
    assert (await store.totals("ann", NOW)).active == 2
    await store.keepers(NOW, 9)
    await state.named(caplog, "the session 's-1'")


async def test_text_that_is_no_utf_8_fails_no_statement(state: StoredState) -> None:
    await state.database.run("UPDATE sessions SET system = CAST(x'ff41' AS TEXT) WHERE id = 's-1'")

    read = await SessionStore(state.database).read("ann", "s-1", NOW)

    assert read is not None
    assert read.remembered.system == "\N{REPLACEMENT CHARACTER}A"
    assert not state.database.failing


async def test_damaged_choices_and_counts_of_tools_are_none(
    state: StoredState, caplog: pytest.LogCaptureFixture
) -> None:
    await state.spoil("tool_choices", "allowed", b'"Bash"', "session = 's-1'")
    await state.spoil("tool_counts", "calls", 1e308, "tool = 'Tool1'")
    choices, counts = ToolChoiceStore(state.database), ToolCounts()
    await ToolCountStore(state.database).read(counts)

    assert await choices.read("ann", "s-1") == ToolChoices(None, None)
    assert await choices.read("ann", "s-2") == ToolChoices(("Bash",), None)
    assert list(counts.of("ann")) == ["Tool2"]
    await state.named(caplog, "the count of the tool 'Tool1'")
    await state.named(caplog, "choice of tools of the key 'ann'")


@pytest.mark.parametrize("value", [b"short", "text", 7])
async def test_a_damaged_seal_is_made_anew(state: StoredState, value: object, caplog: pytest.LogCaptureFixture) -> None:
    await seal_key(state.database)
    await state.spoil("seal", "key", value, "true")

    made = await seal_key(state.database)

    assert len(made) == 32
    assert await seal_key(state.database) == made
    assert "the seal" in caplog.text


@pytest.mark.parametrize("column", ["object", "items"])
@pytest.mark.parametrize("value", [b"nothing", b"7", "\xe9", 7])
async def test_a_damaged_response_is_told_to_its_caller_and_can_be_deleted(
    state: StoredState, column: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    await state.spoil("responses", column, value, "id = 'resp_1'")
    responses = Responses(ResponseStore(state.database, ROOM), b"seal", lambda: NOW)
    for read, of in ((responses.shown, "object"), (responses.input_items, "items")):
        if column == of:
            with pytest.raises(Exception, match="damaged"):
                await read("ann", "resp_1")
        else:
            await read("ann", "resp_1")
    assert (await responses.shown("ann", "resp_2"))["id"] == "resp_2"
    await state.named(caplog, "the response 'resp_1'")

    await responses.delete("ann", "resp_1")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("turns", dump(turn("a")) + b"\nnothing\n" + dump(turn("d")) + b"\n", "adab"),
        ("turns", b"\xff", "ab"),
        ("turns", 7, "ab"),
        ("system", b"nothing", "abab"),
        ("system", b"[7]", "abab"),
    ],
)
async def test_a_chain_goes_on_without_what_is_damaged_in_it(
    state: StoredState, column: str, value: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    await state.spoil("responses", column, value, "id = 'resp_1'")

    found = await ResponseStore(state.database, ROOM).chain("ann", "resp_2", NOW)

    assert found is not None
    assert texts(tuple(one for link in found[1] for one in link.turns)) == said
    assert "the response 'resp_1'" in caplog.text


@pytest.mark.parametrize("value", [b"nothing", b"[]", 7])
async def test_one_unfinished_response_that_is_damaged_keeps_no_gateway_from_starting(
    state: StoredState, value: object
) -> None:
    await state.spoil("responses", "object", value, "id = 'resp_2'")
    responses = Responses(ResponseStore(state.database, ROOM), b"seal", lambda: NOW)

    await responses.recover()

    assert (await responses.shown("ann", "resp_3"))["status"] == "failed"
    assert await ResponseStore(state.database, ROOM).unfinished() == []


GOOD = [5, "ann", "r", 1, "openai_chat", "/v1", "m", "m", 0, 0, 1, NOW, 1.0, 2.0, 3.0, 4, 5, 0, 0, 0, 0.5, "ok"]


def changed(at: int, value: Any) -> list[Any]:
    return [*GOOD[:at], value, *GOOD[at + 1 :]]


@pytest.mark.parametrize(
    "line",
    [
        changed(0, None),
        changed(0, "5"),
        changed(0, -5),
        changed(0, 2**63 - 1),
        changed(0, {}),
        changed(1, None),
        changed(7, ["m"]),
        changed(11, "now"),
        changed(11, 1e308),
        changed(15, None),
        changed(15, 1e308),
        changed(16, -5),
        changed(16, 2**63 - 1),
        changed(20, "much"),
        changed(21, None),
        GOOD[:-1],
        "nothing",
        7,
        None,
    ],
)
async def test_a_damaged_line_of_the_journal_costs_no_other(
    state: StoredState, line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    written = [[1, changed(0, 4)], [2, line], ["x", GOOD], [3, changed(0, 6)]]
    first = state.path.with_name(f"{DATABASE}{ENDINGS[0]}")
    lines = b"".join(orjson.dumps(one) + b"\n" for one in written) + b'{"half\n' + b"[9, [9, "
    await asyncio.to_thread(first.write_bytes, lines)
    named = await asyncio.to_thread(find_damage, state.path)
    assert len(named.rows) == 3, named
    journal = await asyncio.to_thread(Journal, state.path)
    try:
        ledger = Ledger(LedgerStore(state.database, journal), now=lambda: NOW + 5)
        async with ledger.kept(400):
            assert ledger.spent("ann").tokens == 18
            await ledger.begin(ledger.open(JOB))
            await ledger.flushed()
    finally:
        journal.close()

    assert [id_ for (id_,) in await state.database.run("SELECT id FROM ledger ORDER BY id")] == [4, 6, 7]
    assert "a line of the ledger's journal" in caplog.text


async def test_an_absurd_line_of_the_ledger_costs_no_start(state: StoredState) -> None:
    store = LedgerStore(state.database)
    names = "id, owner, request_id, number, dialect, route, model_asked, model, session, tools, attempts, begun_at, "
    names += "queue_ms, first_token_ms, total_ms, input, output, cache_read, cache_write, thinking, cost_usd, result"
    marks = ", ".join("?" * len(GOOD))
    for line in (GOOD, [2**63 - 1, *changed(15, 1e308)[1:20], float("inf"), "begun"], changed(0, 6)):
        await state.database.run(f"INSERT INTO ledger ({names}) VALUES ({marks})", line)
    ledger = Ledger(store, now=lambda: NOW + 5)
    async with ledger.kept(400):
        assert ledger.spent("ann").usd < 10**7
        entry = ledger.open(JOB)
        await ledger.begin(entry)
        await ledger.flushed()
        assert entry.id == 7


@pytest.mark.parametrize("spoilt", ["DELETE FROM daily_sums_filled", "UPDATE daily_sums_filled SET next = 'x'"])
async def test_damaged_sums_are_added_up_anew(
    state: StoredState, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = LedgerStore(state.database)
    await store._write([GOOD])
    await state.database.run(spoilt)
    await state.database.run("UPDATE ledger_days SET jobs = 9")
    with caplog.at_level(logging.WARNING):
        assert await store.fill_sums() == 1

    assert await state.database.run("SELECT owner, jobs, output FROM ledger_days") == [("ann", 1, 5)]
    assert "added up anew" in caplog.text
